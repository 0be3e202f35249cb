// toolchain/install.ts as set-up runs it: which of the three places each part comes from.
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { basename, dirname, join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { filesBelow } from "../../toolchain/files.ts";
import { builtFile } from "../../toolchain/go.ts";
import {
	cli,
	commandProvider,
	languageHost,
	libvirtProvider,
	type Part,
	parts,
	terraformBridge,
} from "../../toolchain/parts.ts";
import { Scratch } from "./scratch.ts";

const toolchain = join(import.meta.dirname, "../../toolchain");

class Install {
	readonly scratch: Scratch;
	readonly releases: string;

	constructor(t: ExecutionContext) {
		this.scratch = new Scratch(t);
		this.releases = join(this.scratch.root, "releases");
		mkdirSync(this.releases);
		cpSync(toolchain, join(this.scratch.root, "toolchain"), { recursive: true });
		this.scratch.fake("bin/go", "exit 1");
	}

	/** Puts a build of each part into the cache. */
	async build(...some: readonly Part[]): Promise<this> {
		for (const part of some) {
			const file = await builtFile(part, this.scratch.workshop());
			this.scratch.write(file.slice(this.scratch.root.length), `built ${part.name}`);
		}
		return this;
	}

	/** Makes an official release of each part that has one; the CLI is a program, asked to bring the libvirt provider. */
	async release(some: readonly Part[], cliBody = 'mkdir -p "${libvirt%/*}" && touch "$libvirt"'): Promise<void> {
		const folders = new Map<string, { folder: string; checksums: string }>();
		for (const part of some) {
			if (part.release === undefined) continue;
			const { archive, checksums, member } = part.release;
			const folder = `unpacked/${archive}`;
			folders.set(archive, { folder, checksums });
			if (part === cli) this.scratch.fake(`${folder}/${member}`, cliBody);
			else this.scratch.write(`${folder}/${member}`, `official ${part.name}`, 0o755);
		}
		for (const [archive, { folder, checksums }] of folders) {
			const file = join(this.releases, archive);
			await execa("tar", ["-czf", file, "-C", join(this.scratch.root, folder), "."]);
			const sum = createHash("sha256").update(readFileSync(file)).digest("hex");
			this.scratch.write(`releases/${checksums}`, `${sum}  ${archive}\n`);
		}
	}

	/** `network` is whether releases can be reached; the libvirt provider is what a released CLI brings by itself. */
	run(network = false) {
		const preload = join(import.meta.dirname, "canned-releases.ts");
		return this.#node(["--import", preload], network ? { CANNED_RELEASES: this.releases } : {});
	}

	/** With all downloads by way of a proxy. */
	runBehind(proxy: string) {
		return this.#node([], { https_proxy: proxy });
	}

	async #node(options: readonly string[], more: Readonly<Record<string, string>>) {
		const { root, bin, log } = this.scratch;
		const env = {
			PATH: `${bin}:/usr/bin:/bin`,
			HOME: root,
			libvirt: join(root, ".pulumi", libvirtProvider.path),
			...more,
		};
		const argv = [...options, join(root, "toolchain", "install.ts"), root, join(root, "cache"), log];
		const { exitCode, stdout, stderr } = await execa(process.execPath, argv, {
			env,
			extendEnv: false,
			reject: false,
			stdin: "ignore",
		});
		return { code: exitCode, stdout, said: stderr === "" ? [] : stderr.replaceAll(/\(\d+ s\)/g, "(… s)").split("\n") };
	}

	has(part: Part): string {
		return this.scratch.read(join(".pulumi", part.path));
	}
}

const places = parts.map((part) => `.pulumi/${part.path}`).join("\n");

const saysRelease = (part: Part) => `setup: ${part.name} ${part.version}: official release (… s)`;

test("on a closed network every part is the build in the cache", async (t) => {
	const install = await new Install(t).build(...parts);
	for (const _ of [1, 2]) {
		t.deepEqual(await install.run(), { code: 0, stdout: places, said: [] });
		for (const part of parts) t.is(install.has(part), `built ${part.name}`);
		t.is((await filesBelow(join(install.scratch.root, ".pulumi"))).length, parts.length);
	}
});

test("releases are asked for by way of the environment's proxy", async (t) => {
	const asked: string[] = [];
	const proxy = createServer().on("connect", ({ url = "" }, socket) => {
		asked.push(url);
		socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
	});
	await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
	t.teardown(() => proxy.close());
	const install = await new Install(t).build(...parts);
	const { port } = proxy.address() as AddressInfo;
	t.deepEqual(await install.runBehind(`http://127.0.0.1:${port}`), { code: 0, stdout: places, said: [] });
	t.deepEqual(asked, [`${new URL(cli.release?.folder ?? "").host}:443`]);
});

test("what is no proxy's address is told, and what is built is taken", async (t) => {
	const install = await new Install(t).build(...parts);
	const said = ["setup: https_proxy or http_proxy is no http://HOST:PORT: official releases are passed over"];
	t.deepEqual(await install.runBehind("proxy:3128"), { code: 0, stdout: places, said });
});

test("a part that is not built yet is built, and the others stay", async (t) => {
	const install = await new Install(t).build(cli, languageHost, commandProvider, terraformBridge);
	install.scratch.fake("bin/go", 'if [ "$1" = env ]; then echo go1.26.8; else echo fresh >"$6"; fi');
	t.deepEqual(await install.run(), {
		code: 0,
		stdout: places,
		said: [
			"setup: building the libvirt provider from its Go module…",
			"setup: libvirt provider 0.8.3: built from its Go module (… s)",
		],
	});
	t.is(install.has(libvirtProvider), "fresh\n");
	const calls = install.scratch.calls();
	t.is(calls.filter((call) => call.startsWith("go build")).length, 1);
	t.deepEqual((await install.run()).said, []);
	t.deepEqual(install.scratch.calls(), calls);
});

test("what stands in for a program of Pulumi's is told to be our own, as doctor does", async (t) => {
	const install = await new Install(t).build(cli, terraformBridge, libvirtProvider);
	install.scratch.fake("bin/go", 'if [ "$1" = env ]; then echo go1.26.8; else echo fresh >"$6"; fi');
	t.deepEqual((await install.run()).said, [
		"setup: building our own Node.js language host from toolchain/…",
		"setup: Node.js language host 3.259.0: our own, built from toolchain/ (… s)",
		"setup: building our own command provider from toolchain/…",
		"setup: command provider 1.2.1: our own, built from toolchain/ (… s)",
	]);
});

test("a build that fails ends it with what to do, and keeps what is there", async (t) => {
	const install = await new Install(t).build(cli);
	install.scratch.fake("bin/go", 'if [ "$1" = env ]; then echo go1.26.8; else echo why >&2; exit 1; fi');
	t.deepEqual(await install.run(), {
		code: 1,
		stdout: "",
		said: [
			"setup: building our own Node.js language host from toolchain/…",
			"setup: go build failed (1)",
			"setup: If the log names a module that could not be fetched, check GOPROXY and the network, and run set-up again.",
		],
	});
	t.is(install.has(cli), "built Pulumi CLI");
	t.regex(install.scratch.read("log"), /\nwhy\n$/);
});

test("a new enough pulumi on PATH is linked with its language host, and the rest is ours", async (t) => {
	const install = await new Install(t).build(...parts);
	const theirs = dirname(install.scratch.fake("theirs/pulumi", "echo v3.300.0"));
	install.scratch.fake("theirs/pulumi-language-nodejs", "");
	symlinkSync(join(theirs, "pulumi"), join(install.scratch.bin, "pulumi"));
	for (const _ of [1, 2]) {
		t.deepEqual(await install.run(), {
			code: 0,
			stdout: places,
			said: [`setup: Pulumi CLI and language host: ${theirs}`],
		});
		for (const part of [cli, languageHost]) {
			t.is(readlinkSync(join(install.scratch.root, ".pulumi", part.path)), join(theirs, basename(part.path)));
		}
		for (const part of [commandProvider, terraformBridge, libvirtProvider]) {
			t.is(install.has(part), `built ${part.name}`);
		}
	}
});

test("where releases can be reached every part is official, and nothing is built", async (t) => {
	const install = new Install(t);
	await install.release(parts);
	t.deepEqual(await install.run(true), {
		code: 0,
		stdout: places,
		said: [cli, languageHost, commandProvider, terraformBridge].map(saysRelease),
	});
	for (const part of [languageHost, commandProvider, terraformBridge]) t.is(install.has(part), `official ${part.name}`);
	t.deepEqual(install.scratch.calls(), ["pulumi package get-schema terraform-provider@1.1.3 dmacvicar/libvirt 0.8.3"]);
	t.true(existsSync(join(install.scratch.root, ".pulumi", libvirtProvider.path)));
});

test("a release that is missing is built instead, and the others stay official", async (t) => {
	const install = await new Install(t).build(commandProvider, libvirtProvider);
	await install.release([cli, languageHost, terraformBridge]);
	const said = (await install.run(true)).said;
	t.deepEqual(said, [
		saysRelease(cli),
		saysRelease(languageHost),
		`setup: ${commandProvider.release?.folder}/${commandProvider.release?.archive} answered 404; building it instead`,
		saysRelease(terraformBridge),
	]);
	t.is(install.has(commandProvider), "built command provider");
	t.is(install.has(terraformBridge), "official Terraform bridge");
});

test("a release with another checksum ends it, and nothing is built in its stead", async (t) => {
	const install = await new Install(t).build(...parts);
	await install.release(parts);
	const { checksums = "", archive = "" } = commandProvider.release ?? {};
	install.scratch.write(`releases/${checksums}`, `${"0".repeat(64)}  ${archive}\n`);
	const { code, stdout, said } = await install.run(true);
	t.deepEqual([code, stdout, said.length], [1, "", 4]);
	t.regex(said[2] ?? "", new RegExp(`^setup: ${archive} has sha256 [0-9a-f]{64}, its release says 0{64}$`));
	t.regex(said[3] ?? "", /^setup: Nothing was installed from it\./);
	t.false(existsSync(join(install.scratch.root, ".pulumi", commandProvider.path)));
});

test("a CLI that cannot bring the libvirt provider leaves it to be built", async (t) => {
	const install = await new Install(t).build(libvirtProvider);
	await install.release(parts, "exit 1");
	t.is((await install.run(true)).code, 0);
	t.is(install.has(libvirtProvider), "built libvirt provider");
});
