import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { changed } from "./changed.ts";
import { drifted } from "./drifted.ts";
import { card, copy, domainCard, host, lab, libvirtName, stack } from "./proof.ts";

const file = `stacks/${stack}.yaml`;
const script = "examples/mymodule.stp";
const root = `/var/lib/tracelab/domains/${libvirtName}/root`;
const probes = `probes: { mymodule: { script: ${script}, domain: vm } }\n`;

/** Runs a probe, has the guest write these numbers into /proc/mymodule once it probes, and ends it as Ctrl-C does. */
async function fire(probe: string, module: string, ...numbers: number[]) {
	const writes = numbers.map((number) => `echo ${number} >/proc/mymodule`).join("; ");
	// What stands there once staprun has loaded the module, and a moment for its probes to be set.
	const wait = `until ls -d /sys/module/${module} 2>/dev/null; do sleep 0.2; done; sleep 3`;
	return copy.bash(
		`./lab -s ${stack} probe run ${probe} & run=$!
		./lab -s ${stack} exec -t 120 vm -- sh -c '${wait}; ${writes}' >/dev/null
		kill -TERM $run; wait $run`,
	);
}

const calls = (text: string) => [...text.matchAll(/^(\d+) myfunction\((\d+)\)$/gm)];

test("a probe of the stack is compiled by one up: no reboot, nothing else is built", async (t) => {
	copy.write(file, readFileSync(join(copy.folder, file), "utf8") + probes);
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	t.deepEqual(changed(all), ["card", "probe-mymodule", "probe-mymodule-vm"]);
	const again = await lab("preview", "--", "--expect-no-changes");
	t.is(again.code, 0, again.all);
	const [, row] = (await lab("probe", "ls")).stdout.split("\n");
	t.is(row?.replace(/ +/g, " "), `mymodule vm compiled 1 ${copy.folder}/${script}`);
});

test("a compiled probe deleted from what the guest sees", (t) =>
	drifted(t, t.title, {
		byHand: () => `rm ${root}/probes/stap_mymodule.ko`,
		said: [`probe mymodule in /var/lib/tracelab/domains/${libvirtName} is not the one that was compiled`],
		guest: "goes on",
	}));

test("a probe fires in the guest: each call is printed and kept, and its module is unloaded at the end", async (t) => {
	const { code, stdout, stderr } = await fire("mymodule", "stap_mymodule", 40, 2);
	t.is(code, 0, stderr);
	const printed = calls(stdout);
	t.deepEqual(
		printed.map(([, , number]) => number),
		["40", "2"],
	);
	// The guest's clock is set by the host's when it boots.
	const [first, second] = printed.map(([, time]) => BigInt(time ?? 0));
	t.true(first !== undefined && second !== undefined && first < second, stdout);
	t.true(Math.abs(Number(second) / 1e6 - Date.now()) < 3_600_000, stdout);
	t.regex(stderr, /^lab: 2 hits of module\("mymodule"\)\.function\("myfunction"\)$/m);
	const output = /kept in (\S+)$/m.exec(stderr)?.[1] ?? "";
	t.true(output.startsWith(`/var/lib/tracelab/runs/${stack}/probe-mymodule-`), stderr);
	t.is(readFileSync(output, "utf8").trimEnd(), stdout);
	t.notRegex((await lab("exec", "vm", "--", "lsmod")).stdout, /^stap_/m);
});

test("a probe that never fired is an error", async (t) => {
	const { code, stderr } = await lab("probe", "run", "-t", "2", "mymodule");
	t.is(code, 1, stderr);
	t.regex(stderr, /^lab: probe "mymodule" never fired: no hit of module\("mymodule"\)\.function\("myfunction"\)$/m);
});

test("an edit of a script compiles that probe anew, and nothing else", async (t) => {
	const { kernels, domains } = card();
	copy.edit(script, "{", "{ println(pid()) ");
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	t.deepEqual(changed(all), ["card", "probe-mymodule-vm"]);
	t.deepEqual([card().kernels, card().domains], [kernels, domains]);
});

test("a function that is not there is an error at its line, with the nearest that is", async (t) => {
	const lines = readFileSync(join(copy.folder, script), "utf8").split("\n");
	const line = lines.findIndex((text) => text.startsWith("probe ")) + 1;
	copy.edit(script, '"myfunction"', '"myfunctoin"');
	const { code, all } = await lab("up");
	copy.edit(script, '"myfunctoin"', '"myfunction"');
	t.not(code, 0);
	t.true(all.includes(`at ${copy.folder}/${script}:${line}:7`), all);
	t.regex(all, /what to do: did you mean "myfunction"\?/);
});

test("an installed module that was taken away is said to be, and up brings it back", async (t) => {
	const module = `${root}/lib/modules/${readFileSync(`${card().kernels["main"]?.prefix}/release`, "utf8").trim()}/extra/mymodule.ko`;
	host(`rm ${module}`);
	const { code, stderr } = await lab("probe", "run", join(copy.folder, script));
	t.is(code, 1);
	t.regex(stderr, /^ {2}\| semantic error: no match$/m);
	t.regex(stderr, /what to do: module mymodule is loaded, but not installed: .* up installs it again$/m);
	const mended = await lab("up");
	t.is(mended.code, 0, mended.all);
	t.true(existsSync(module));
});

test("a module that is loaded by hand and not installed is no match, which is explained; installed, it fires", async (t) => {
	const { file: ko } = domainCard().modules["mymodule"] ?? { file: "" };
	const before = readFileSync(join(copy.folder, file), "utf8");
	copy.write(file, before.replace(probes, "").replace("    processName:", "    modules: []\n    processName:"));
	const without = await lab("up");
	t.is(without.code, 0, without.all);
	t.deepEqual(host(`ls ${root}`).split("\n").includes("probes"), false);
	t.is((await lab("cp", ko, "vm:/root/mymodule.ko")).code, 0);
	t.is((await lab("exec", "vm", "--", "insmod", "/root/mymodule.ko")).code, 0);
	const refused = await lab("probe", "run", join(copy.folder, script));
	t.is(refused.code, 1);
	t.regex(
		refused.stderr,
		/^ {2}\| semantic error: while resolving probe point: identifier 'module' at .*mymodule\.stp:\d+:7$/m,
	);
	t.regex(refused.stderr, /^ {2}\| semantic error: no match$/m);
	t.regex(
		refused.stderr,
		/what to do: module mymodule is loaded, but not installed: SystemTap looks for it below \/lib\/modules\/6\.1\.\d+ of vm\. Name it in modules: of domain vm in the stack file, and up installs it; there is none now$/m,
	);
	copy.write(file, before);
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	const fired = await fire("mymodule", "stap_mymodule", 7);
	t.is(fired.code, 0, fired.stderr);
	t.is(calls(fired.stdout).at(-1)?.[2], "7");
});

test("a script that no stack file names is compiled and run at once", async (t) => {
	copy.write("reads.stp", 'global n\nprobe kernel.function("vfs_read") { n++ }\nprobe timer.s(2) { exit() }\n');
	const { code, stderr } = await lab("probe", "run", join(copy.folder, "reads.stp"));
	t.is(code, 0, stderr);
	t.regex(stderr, /^lab: \d+ hits of kernel\.function\("vfs_read"\)$/m);
	t.is(host(`ls ${root}/probes`), "stap_mymodule.ko");
	// What runs recorded is kept on purpose; the next test wants the host as it was.
	const runs = `/var/lib/tracelab/runs/${stack}`;
	host(`rm -r ${runs}/probe-* && rmdir -p --ignore-fail-on-non-empty ${runs}`);
});
