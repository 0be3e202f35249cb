import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { stepProgram } from "../../components/step-program.ts";
import { asRoot, why } from "../as-root.ts";
import { sshServer } from "./ssh-server.ts";

asRoot(`no text of a step is read by a shell on its way through SSH${why}`, async (t) => {
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
