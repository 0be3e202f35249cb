import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { checkArchive, DownloadError, officialFile, officialReachable } from "../../toolchain/official.ts";
import { cli, languageHost, type Part, type Release } from "../../toolchain/parts.ts";
import { SetupError } from "../../toolchain/setup-error.ts";
import { Scratch } from "./scratch.ts";

const advice = "Run set-up again; if it stays so, look at the address in a browser.";

/** A server on this machine, and a fetch that takes every address to it. */
async function served(t: ExecutionContext, answer: (path: string) => { status: number; body?: Buffer } | undefined) {
	const asked: string[] = [];
	const server = createServer((request, response) => {
		const path = request.url ?? "";
		asked.push(`${request.method} ${path}`);
		const given = answer(path);
		if (given !== undefined) response.writeHead(given.status).end(given.body);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const address = server.address();
	const port = typeof address === "object" ? address?.port : undefined;
	const get: typeof fetch = (url, init) => fetch(`http://127.0.0.1:${port}${new URL(String(url)).pathname}`, init);
	return { get, asked };
}

test("releases are in reach when their host answers to one small question", async (t) => {
	const { get, asked } = await served(t, () => ({ status: 200 }));
	t.true(await officialReachable(get));
	t.deepEqual(asked, ["HEAD /pulumi/pulumi/releases/download/v3.259.0/pulumi-3.259.0-checksums.txt"]);
});

test("releases are out of reach when the answer is not theirs", async (t) => {
	for (const status of [404, 403, 500]) t.false(await officialReachable((await served(t, () => ({ status }))).get));
});

test("releases are out of reach when no answer comes, which is known within seconds", async (t) => {
	const { get } = await served(t, () => undefined);
	const start = Date.now();
	t.false(await officialReachable(get));
	const took = Date.now() - start;
	t.true(took >= 2_900 && took < 8_000, `${took} ms`);
});

test("releases are out of reach when nobody listens", async (t) => {
	t.false(await officialReachable(() => Promise.reject(new TypeError("fetch failed"))));
});

const archive = Buffer.from("the archive");
const sum = createHash("sha256").update(archive).digest("hex");

const accepted = test.macro({
	title: (what) => `an archive is accepted by ${what}`,
	exec: (t, checksums: string) => t.notThrows(() => checkArchive(archive, "a.tar.gz", checksums)),
});

test("a list with its checksum", accepted, `${"0".repeat(64)}  b.tar.gz\n${sum}  a.tar.gz\n`);
test("a list that marks binary files", accepted, `${sum} *a.tar.gz`);
test("a list in capitals and with carriage returns", accepted, `${sum.toUpperCase()}  a.tar.gz\r\n`);

const refused = test.macro({
	title: (what) => `an archive is refused by ${what}`,
	exec(t, checksums: string, said: string) {
		const error = t.throws(() => checkArchive(archive, "a.tar.gz", checksums), {
			instanceOf: SetupError,
			message: `a.tar.gz has sha256 ${sum}, its release says ${said}`,
		});
		t.false(error instanceof DownloadError);
		t.is(
			error?.advice,
			"Nothing was installed from it. A proxy may have changed the download: try again, or on another network.",
		);
	},
});

test("a list with another checksum", refused, `${"0".repeat(64)}  a.tar.gz`, "0".repeat(64));
test("a list without it", refused, `${sum}  other-a.tar.gz\n${sum}  a.tar.gz.sig`, "nothing about it");
test("an empty list", refused, "", "nothing about it");

type Released = Part & { readonly release: Release };

/** Two parts' release, made here: an archive with both programs, and its checksums. */
async function release(t: ExecutionContext, checksum?: string) {
	const scratch = new Scratch(t);
	scratch.write("src/pulumi/pulumi", "the CLI", 0o755);
	scratch.write("src/pulumi/pulumi-language-nodejs", "the host", 0o755);
	const file = join(scratch.root, "made.tar.gz");
	await execa("tar", ["-czf", file, "-C", join(scratch.root, "src"), "pulumi"]);
	const body = readFileSync(file);
	const shared = { folder: "http://releases.example/v1", archive: "made.tar.gz", checksums: "sums.txt" };
	const sums = `${checksum ?? createHash("sha256").update(body).digest("hex")}  made.tar.gz\n`;
	const files: Record<string, Buffer> = { "/v1/made.tar.gz": body, "/v1/sums.txt": Buffer.from(sums) };
	const part = (whole: Part, member: string): Released => ({ ...whole, release: { ...shared, member } });
	return {
		scratch,
		cache: join(scratch.root, "cache"),
		parts: [part(cli, "pulumi/pulumi"), part(languageHost, "pulumi/pulumi-language-nodejs")] as const,
		...(await served(t, (path) => (files[path] ? { status: 200, body: files[path] } : { status: 404 }))),
		files,
	};
}

test("a release is downloaded, checked and unpacked once, for all the parts in it", async (t) => {
	const { scratch, cache, parts, get, asked } = await release(t);
	const program = await officialFile(parts[0], cache, scratch.log, get);
	t.is(program, join(cache, "releases", "made", "pulumi", "pulumi"));
	t.is(readFileSync(program, "utf8"), "the CLI");
	t.is(statSync(program).mode & 0o111, 0o111);
	t.is(readFileSync(await officialFile(parts[1], cache, scratch.log, get), "utf8"), "the host");
	t.is(await officialFile(parts[0], cache, scratch.log, get), program);
	t.deepEqual(asked, ["GET /v1/made.tar.gz", "GET /v1/sums.txt"]);
});

test("a release with another checksum leaves nothing behind", async (t) => {
	const { scratch, cache, parts, get } = await release(t, "0".repeat(64));
	await t.throwsAsync(officialFile(parts[0], cache, scratch.log, get), {
		instanceOf: SetupError,
		message: /^made\.tar\.gz has sha256 [0-9a-f]{64}, its release says 0{64}$/,
	});
	t.false(existsSync(cache));
});

test("a release that cannot be unpacked leaves nothing behind", async (t) => {
	const { scratch, cache, parts, get, files } = await release(t);
	const broken = Buffer.from("no archive");
	files["/v1/made.tar.gz"] = broken;
	files["/v1/sums.txt"] = Buffer.from(`${createHash("sha256").update(broken).digest("hex")}  made.tar.gz`);
	const error = await t.throwsAsync(officialFile(parts[0], cache, scratch.log, get), {
		instanceOf: SetupError,
		message: /^tar -xzf .*\/made\.tar\.gz failed \(2\)$/,
	});
	t.is(error?.advice, "Check that the disk has room.");
	t.deepEqual(readdirSync(join(cache, "releases")), []);
});

for (const missing of ["made.tar.gz", "sums.txt"]) {
	test(`a release without its ${missing} is one that cannot be had`, async (t) => {
		const { scratch, cache, parts, get, files } = await release(t);
		delete files[`/v1/${missing}`];
		const error = await t.throwsAsync(officialFile(parts[0], cache, scratch.log, get), {
			instanceOf: DownloadError,
			message: `http://releases.example/v1/${missing} answered 404`,
		});
		t.is(error?.advice, advice);
		t.false(existsSync(cache));
	});
}

test("a download that breaks off is told with its address and its cause", async (t) => {
	const { scratch, cache, parts } = await release(t);
	const get = () => Promise.reject(new TypeError("fetch failed"));
	const error = await t.throwsAsync(officialFile(parts[0], cache, scratch.log, get), {
		instanceOf: DownloadError,
		message: "http://releases.example/v1/made.tar.gz could not be downloaded: TypeError: fetch failed",
	});
	t.is(error?.advice, advice);
});
