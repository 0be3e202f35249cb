import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { project } from "../../cli/host.ts";
import { buildsAreWhole } from "./builds.ts";
import { difference, hostState } from "./host-state.ts";
import { bad, card, copy, host, skip, stack } from "./proof.ts";

interface Bad {
	/** The stack file. */
	file: string;
	/** What up says. */
	said: RegExp;
	/** How far up came: it changed nothing at all, or it compiled nothing of the kernel. Without it, some steps had been done. */
	before?: "changes" | "compiling";
}

const refused = test.macro(async (t: ExecutionContext, { file, said, before }: Bad) => {
	const state = stateNow();
	copy.write(`stacks/${bad}.yaml`, file);
	host(`rm -f ${kernelLog}`);
	const { code, all } = await copy.lab("-s", bad, "up");
	t.not(code, 0);
	t.regex(all, said);
	t.notRegex(all, /^\s+at .*\.ts:\d+/m, "a stack trace");
	if (before === "changes") t.deepEqual(difference(state, stateNow()), []);
	if (before === "compiling") t.false(readFileSync(kernelLog, "utf8").includes("'bzImage'"));
	await undo(t);
	t.deepEqual(difference(state, stateNow()), []);
});

/** Whoever is at work on this machine meanwhile may begin or cease to listen. */
const stateNow = () => hostState().filter((fact) => !fact.startsWith("listener "));

const kernelLog = `/var/log/tracelab/${bad}/kernel-main-build.log`;

async function undo(t: ExecutionContext): Promise<void> {
	const { code, all } = await copy.lab("-s", bad, "destroy", "--yes");
	t.is(code, 0, all);
}

test("an unknown key is an error with file, line, column and a did-you-mean", refused, {
	file: "extends: quickstart\ndomains:\n  vm:\n    memroy: 512\n",
	said: /stacks\/proof-bad\.yaml:4:5: domains\.vm\.memroy: unknown key "memroy" \(did you mean "memory"\?\)/,
	before: "changes",
});

test("a kernel symbol that cannot be had is an error before anything is compiled", refused, {
	file: "extends: quickstart\nkernels:\n  main:\n    config: [CONFIG_NO_SUCH_THING=y]\n",
	said: /CONFIG_NO_SUCH_THING=y came out as n: this kernel has no such symbol/,
	before: "compiling",
});

test("a symbol that needs another is an error that names it", refused, {
	file: "extends: quickstart\nkernels:\n  main:\n    config: [CONFIG_X86_SGX=y, CONFIG_CRYPTO=n]\n",
	said: /CONFIG_X86_SGX=y came out as n: it needs .*CRYPTO/,
	before: "compiling",
});

test("a Debian package that is not there is an error that says where to look", refused, {
	file: "extends: quickstart\nkernels:\n  main:\n    source: debian:linux-source-9.9\n",
	said: /Debian's bookworm has no package linux-source-9\.9[\s\S]*what to do: see what there is: apt-cache search/,
});

test("kvm where it cannot work is an error before anything is changed", async (t) => {
	if (/\b(vmx|svm)\b/.test(readFileSync("/proc/cpuinfo", "utf8"))) return skip(t, "kvm can work on this host");
	await refused.exec(t, {
		file: "extends: quickstart\ndomains:\n  vm:\n    acceleration: kvm\n",
		said: /acceleration: kvm cannot work on this host: [\s\S]*what to do: .*or write acceleration: auto/,
		before: "changes",
	});
});

test("a tarball with another checksum is an error with both, and nothing of it is kept", async (t) => {
	const server = createServer((_, response) => response.end("not a kernel"));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => server.close());
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/linux.tar.xz`;
	const sum = "0".repeat(64);
	await refused.exec(t, {
		file: `extends: quickstart\nkernels:\n  main:\n    source: { url: "${url}", sha256: "${sum}" }\n`,
		said: new RegExp(`has the sha256 [0-9a-f]{64}, not ${sum}; nothing of it was kept`),
	});
	t.false(existsSync(`/var/cache/tracelab/sources/sha256/${sum}`));
});

test("a gdb port that another program has is an error that names the program, before anything is changed", async (t) => {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => server.close());
	const { port } = server.address() as AddressInfo;
	await refused.exec(t, {
		file: `extends: quickstart\ndomains:\n  vm:\n    processName: ${bad}\n    gdb: { port: ${port} }\n`,
		said: new RegExp(`gdb port ${port} is in use by .*process ${process.pid}[\\s\\S]*what to do: stop that process`),
		before: "changes",
	});
});

test("without root and without sudo, up says so and changes nothing", async (t) => {
	const before = JSON.stringify(card());
	const bin = mkdtempSync("/tmp/tracelab-no-sudo-");
	t.teardown(() => rmSync(bin, { recursive: true }));
	host(`chmod 755 ${bin} && ln -s /usr/bin/* ${bin} && rm -f ${bin}/sudo`);
	// The copy's packages are the project's own, which may be where root alone comes, such as its home.
	const readsAll = "--inh-caps=+dac_read_search --ambient-caps=+dac_read_search";
	const nobody = `setpriv --reuid=65534 --regid=65534 --clear-groups ${readsAll} env PATH=${bin} HOME=/tmp`;
	if ((await copy.bash(`${nobody} cat ${project}/package.json`)).code !== 0) {
		return skip(t, `another account cannot read ${project}`);
	}
	const { code, all } = await copy.bash(`chmod 755 . && ${nobody} ./lab -s proof up`);
	t.not(code, 0);
	t.regex(
		all,
		/this needs root, and there is no sudo here\n {2}what to do: run it as root: su -c '.\/lab -s proof up'/,
	);
	t.is(JSON.stringify(card()), before);
});

/** Mounts a file system of its own with room for some files: ext4 in a file, or where there is no loop device, memory. */
function mountSmall(at: string, options: "rw" | "ro"): void {
	host(`file=$(mktemp)
	truncate --size 256K $file && mkfs.ext4 -q -O ^has_journal -I 128 -N 256 $file
	mount -o loop,${options} $file ${at} 2>/dev/null || mount -t tmpfs -o size=64k,${options} tracelab-small ${at}
	rm $file`);
}

test("builds that cannot fit on the disk are an error before anything is changed", async (t) => {
	const before = JSON.stringify(card());
	mountSmall("/opt/tracelab", "rw");
	try {
		const { code, all } = await copy.lab("-s", stack, "up");
		t.not(code, 0);
		t.regex(
			all,
			/image main, kernel main, qemu main cannot be built: .* \/opt has 0\.0 GB free\n.*what to do: make room/,
		);
	} finally {
		host("umount /opt/tracelab");
	}
	t.is(JSON.stringify(card()), before);
});

for (const [what, options, said] of [
	["a full disk", "rw", /No space left on device[\s\S]*what to do: make room on the disk/],
	[
		"a disk that is read-only",
		"ro",
		/Read-only file system[\s\S]*nothing can be built in \/opt\/tracelab\/module\n.*what to do: mend/,
	],
] as const) {
	test(`${what} is an error that says so; once it is mended the next up carries on`, async (t) => {
		const prefixes = "/opt/tracelab/module";
		mountSmall(prefixes, options);
		try {
			const { code, all } = await copy.lab("-s", stack, "up");
			t.not(code, 0);
			t.regex(all, said);
		} finally {
			host(`umount ${prefixes}`);
		}
		const { code, all } = await copy.lab("-s", stack, "up");
		t.is(code, 0, all);
		const after = await copy.lab("-s", stack, "preview", "--", "--expect-no-changes");
		t.is(after.code, 0, after.all);
		buildsAreWhole(t, stack);
	});
}

test("somebody else who holds dpkg's lock is named and waited for", async (t) => {
	host("dpkg --remove --force-depends babeltrace2");
	// As apt holds it.
	const hold =
		'open F, "+>>", $ARGV[0]; $l = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $l) or die; sleep';
	const holder = execa("perl", ["-MFcntl", "-e", hold, "/var/lib/dpkg/lock-frontend"], { reject: false });
	t.teardown(() => holder.kill());
	const running = copy.startLab("-s", stack, "up");
	let said = "";
	running.all.on("data", (part: Buffer) => {
		said += part.toString();
		if (said.includes("holds dpkg's lock")) holder.kill();
	});
	const { exitCode } = await running;
	t.is(exitCode, 0, said);
	t.regex(said, new RegExp(`waiting for process ${holder.pid} \\(perl\\), which holds dpkg's lock`));
	t.not(host("command -v babeltrace2"), "");
});
