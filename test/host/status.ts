import { existsSync, mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import test from "ava";
import { card, host, lab, libvirtName, pidOf, stack } from "./proof.ts";

test("status of a lab that is as declared: what is up, and by whom its builds are used", async (t) => {
	const { code, stdout, all } = await lab("status");
	t.is(code, 0, all);
	t.log(stdout);
	t.true(stdout.startsWith(`the lab of stack "${stack}" is up`));
	t.regex(stdout, new RegExp(`^vm +running +${stack}-vm \\(${pidOf()}\\) +main `, "m"));
	t.regex(stdout, /^all is as declared$/m);
	const kernel = card().kernels["main"]?.prefix.replace("/opt/tracelab/", "");
	t.regex(stdout, new RegExp(`^${kernel} +6\\.1\\.\\d+ +\\d+\\.\\d MB +.*lab ${stack},.* domain ${libvirtName}`, "m"));
});

test("status says what drifted, and is no success then", async (t) => {
	host("gpasswd -d libvirt-qemu tracing");
	const { code, stdout } = await lab("status", "--json");
	t.is(code, 1);
	const { asDeclared, changes } = JSON.parse(stdout) as {
		asDeclared: boolean;
		changes: { name: string; drift: string }[];
	};
	t.false(asDeclared);
	t.deepEqual(
		changes.map(({ name, drift }) => [name, drift]),
		[["tracing-group-member", "libvirt-qemu is not in group tracing"]],
	);
	t.is((await lab("up")).code, 0);
	t.is((await lab("status")).code, 0);
});

test("gc keeps what is used, removes what nobody used for a year, and the lab goes on", async (t) => {
	const id = "kernel/0000000000000000";
	const old = `/var/cache/tracelab/builds/${id}`;
	mkdirSync(old, { recursive: true });
	t.teardown(() => rmSync(old, { recursive: true, force: true }));
	writeFileSync(`${old}/.tracelab-build`, "");
	writeFileSync(`${old}/release`, "2.6.39\n");
	utimesSync(old, 1, 1);
	// All that could go, now: nothing of this lab's.
	const dry = await lab("gc", "--dry-run", "--older-than", "0d");
	t.is(dry.code, 0, dry.all);
	const [going = "", kept = ""] = dry.stdout.split(/^kept: /m);
	t.regex(going, new RegExp(`^ {2}${id} +2\\.6\\.39 `, "m"));
	const { qemu, kernels, images, domains } = card();
	const used = [qemu["main"]?.prefix, kernels["main"]?.prefix, images["main"]?.prefix];
	for (const prefix of [...used, ...Object.values(domains["vm"]?.modules ?? {}).map(({ source }) => source)]) {
		const build = String(prefix).replace("/opt/tracelab/", "");
		t.regex(kept, new RegExp(`^ {2}${build} .* lab .*`, "m"));
		t.false(going.includes(build));
	}
	const { code, all } = await lab("gc", "--yes", "--older-than", "365d");
	t.is(code, 0, all);
	t.false(existsSync(old));
	const after = await lab("status");
	t.is(after.code, 0, after.all);
});

test("a console's log is bounded, and all that is there of it is shown", async (t) => {
	const log = `/var/log/tracelab/${stack}/console-vm.log`;
	const said = await lab(
		"exec",
		"vm",
		"--",
		"sh",
		"-c",
		"seq -f 'line %.0f of the flood' 100000 | head -c 2300000 >/dev/ttyS0",
	);
	t.is(said.code, 0, said.all);
	t.true(Number(host(`stat -c %s ${log}`)) <= 2 * 1024 ** 2);
	t.true(existsSync(`${log}.0`));
	const { stdout } = await lab("console", "--log", "vm");
	t.regex(stdout, /Linux version 6\.1/);
	t.regex(stdout, /line 1 of the flood\r?\nline 2 of the flood/);
});
