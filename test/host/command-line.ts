import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { copy, domainCard, lab, pidOf, stack } from "./proof.ts";

test("exec gives a guest's command its words, and has its output and exit status", async (t) => {
	const { code, stdout, stderr } = await lab(
		"exec",
		"vm",
		"--",
		"sh",
		"-c",
		'printf "%s|" "$@"; echo no >&2; exit 7',
		"sh",
		"a b",
		"'",
	);
	t.deepEqual([code, stdout, stderr], [7, "a b|'|", "no"]);
});

test("exec ends a command whose time is up", async (t) => {
	const { code, all } = await lab("exec", "--timeout", "1", "vm", "--", "sleep", "60");
	t.deepEqual([code, all], [124, "lab: ended after 1 s: sleep 60"]);
});

test("cp brings a file of 2 MB there and back with its mode, and a folder", async (t) => {
	const folder = mkdtempSync(join(tmpdir(), "tracelab-cp-"));
	t.teardown(() => rmSync(folder, { recursive: true }));
	const bytes = Buffer.from(Array.from({ length: 2_000_000 }, (_, index) => (index * index) >> 3));
	writeFileSync(join(folder, "there"), bytes, { mode: 0o750 });
	t.is((await lab("cp", join(folder, "there"), "vm:/root/")).code, 0);
	t.is((await lab("cp", "vm:/root/there", join(folder, "back"))).code, 0);
	t.true(readFileSync(join(folder, "back")).equals(bytes));
	t.is(statSync(join(folder, "back")).mode & 0o777, 0o750);
	t.is((await lab("cp", "vm:/etc/systemd", folder)).code, 0);
	t.regex(readFileSync(join(folder, "systemd/system/tracelab-agent.service"), "utf8"), /^\[Unit\]/);
});

test("console has a root's shell, and its log the kernel's first line", async (t) => {
	const { stdout } = await copy.bash(
		`{ echo; sleep 1; echo 'echo $((6 * 7))-$(id -un)'; sleep 1; } | ./lab -s ${stack} console vm`,
	);
	t.regex(stdout, /^42-root\r?$/m);
	t.regex((await lab("console", "--log", "vm")).stdout, /Linux version 6\.1\.\d+/);
});

test("ls shows what runs, as a table and as JSON", async (t) => {
	const { stdout } = await lab("ls");
	const [head, row] = stdout.split("\n");
	t.is(head?.replace(/ +/g, " "), "DOMAIN STATE PROCESS QEMU ACCEL KERNEL GDB MODULES");
	const { kind } = domainCard().acceleration;
	t.is(row?.replace(/ +/g, " "), `vm running ${stack}-vm (${pidOf()}) main ${kind} main 127.0.0.1:12340 mymodule`);
	const [json] = JSON.parse((await lab("ls", "--json")).stdout);
	t.like(json, { name: "vm", state: "running", pid: Number(pidOf()), gdb: { address: "127.0.0.1:12340" } });
});

test("logs lists the steps and shows what one of them ran", async (t) => {
	// Not a build: another stack may have made it.
	t.regex((await lab("logs")).stdout, /^domain-vm-share +\S+ \S+ +\S+.* ago$/m);
	t.regex((await lab("logs", "domain-vm-share")).stdout, /^\$ 'depmod' '-b' '\/var\/lib\/tracelab\/domains\//m);
});

test("doctor finds nothing missing on a host with a lab", async (t) => {
	const { code, stdout } = await lab("doctor");
	t.is(code, 0, stdout);
	t.regex(stdout, /^ok +libvirtd +answers +runs the domains$/m);
	t.regex(stdout, /^ok +lttng-sessiond +answers +root's: /m);
	t.regex(stdout, /^ok +host packages +all \d+ are installed +/m);
	t.regex(stdout, /^ok +language host +(our own, built from toolchain\/|Pulumi's own|from PATH: \/\S+) +/m);
	t.regex(stdout, /^ok +group tracing +libvirt-qemu is in it/m);
	t.regex(stdout, /nothing necessary is missing$/);
});
