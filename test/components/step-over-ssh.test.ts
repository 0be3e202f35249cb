import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import anyTest from "ava";
import fc from "fast-check";
import { stepProgram } from "../../components/step-program.ts";

const test = process.getuid?.() === 0 ? anyTest : anyTest.skip;

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const address = server.address();
	server.close();
	await once(server, "close");
	return typeof address === "object" && address !== null ? address.port : 0;
}

/** An SSH server on loopback that lets one key in, as root. Root's home is empty for it, in a mount namespace of its own. */
async function sshServer(folder: string): Promise<{ argv: string[]; stop: () => void }> {
	const [hostKey, key, pid] = ["host", "key", "pid"].map((name) => join(folder, name));
	for (const file of [hostKey, key])
		execFileSync("dropbearkey", ["-t", "ed25519", "-f", String(file)], { stdio: "pipe" });
	const port = await freePort();
	const serve = `mount -t tmpfs -o mode=700 none /root
mkdir -m 700 /root/.ssh
dropbearkey -y -f "$1" | grep '^ssh-' >/root/.ssh/authorized_keys
exec dropbear -F -E -s -p "127.0.0.1:$2" -r "$3" -P "$4"`;
	const args = ["--mount", "sh", "-e", "-c", serve, "serve", key, `${port}`, hostKey, pid].map(String);
	const server = spawn("unshare", args, { stdio: "ignore" });
	for (let tries = 0; tries < 100 && !existsSync(String(pid)); tries++) await pause(50);
	const argv = ["dbclient", "-y", "-y", "-T", "-i", String(key), "-p", `${port}`, "root@127.0.0.1"];
	return { argv, stop: () => server.kill() };
}

test("no text of a step is read by a shell on its way through SSH", async (t) => {
	t.timeout(120_000);
	const folder = mkdtempSync(join(tmpdir(), "tracelab-ssh-"));
	const { argv, stop } = await sshServer(folder);
	t.teardown(() => {
		stop();
		rmSync(folder, { recursive: true });
	});
	const [root, work, canary] = ["root", "work", "canary"].map((name) => join(folder, name)) as [string, string, string];
	for (const made of [root, work]) mkdirSync(made);
	const [program = "", ...rest] = argv;
	const over = (verb: string, card: string, step: string) =>
		execFileSync(program, [...rest, `cd ${work}; TRACELAB_ROOT=${root} bash -s -- ${verb}`], {
			input: stepProgram("lab-card", { card, step, stack: "t", generation: "g" }),
			encoding: "utf8",
			stdio: "pipe",
		});
	const same = (card: string) => {
		over("apply", card, "card");
		t.is(readFileSync(`${root}/var/lib/tracelab/labs/t.json`, "utf8"), `${card}\n`);
		t.is((JSON.parse(over("probe", card, "card")) as { drift: string }).drift, "");
	};
	for (const text of [
		`$(touch ${canary})`,
		`\`touch ${canary}\``,
		`'; touch ${canary}; '`,
		`"; touch ${canary}; "`,
		`x\ntouch ${canary}\nSTEP_\nEOF\n`,
		`\\'; touch ${canary} #`,
		"~root/* ?? [a-z] {a,b} !! ${PATH} %s \\n \r \x1b]0;title\x07 \u202e é 漢 \u{1f600}",
		"-n",
	])
		same(text);
	const text = fc
		.string({ unit: "binary", minLength: 1, maxLength: 200 })
		.filter((value) => !value.includes("\0") && value.isWellFormed());
	for (const one of fc.sample(text, { numRuns: 10, seed: 1 })) same(one);
	t.false(existsSync(canary));
	t.deepEqual(readdirSync(work), []);
});
