import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import test, { type ExecutionContext } from "ava";
import { scriptText } from "../../components/step-program.ts";
import { FaultyServer } from "./faulty-server.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

type Source = Readonly<Record<string, string>>;

/** A host with the real curl and git, and nothing of this machine's own configuration, which may name a proxy. */
function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.fake("curl", 'exec /usr/bin/curl --disable "$@"');
	scratch.fake("git", 'GIT_CONFIG_NOSYSTEM=1 exec /usr/bin/git "$@"');
	return scratch;
}

function fetched(scratch: ScratchHost, source: Source, stalled = 60): Promise<StepRun> {
	const entries = Object.entries(source).map(([key, value]) => `[${key}]='${value}'`);
	const text = scriptText("lib/source").replace("\nstalled=60\n", `\nstalled=${stalled}\n`);
	return scratch.bash(`stack=quick step=qemu-main-build generation=g prefix=/opt/tracelab/thing/0123456789abcdef
		declare -A source=(${entries.join(" ")})\n${text}\ntrap on_exit EXIT; rm -rf "$root/got"; source_fetch "$root/got"`);
}

/** That the source failed so, with the words in the last lines of its log. */
function failed(t: ExecutionContext, { code, stderr }: StepRun, what: string, words: RegExp): void {
	t.is(code, 1);
	const [first = "", ...log] = stderr.split("\n");
	t.is(first.replace(/; the last lines of .*/, ""), `tracelab: qemu-main-build: ${what}`);
	t.is(log.pop(), "  what to do: mend what the log shows, then run up again: it carries on from what was built");
	t.true(
		log.some((line) => words.test(line)),
		stderr,
	);
}

const kept = (scratch: ScratchHost): string[] =>
	Object.entries(scratch.tree()).flatMap(([path, text]) =>
		path.startsWith("var/cache/tracelab/sources/sha256/") && text.startsWith("file") ? [path] : [],
	);

for (const [kind, rc, words] of [
	["cut", 18, /^ {2}\| curl: \(18\) transfer closed with \d+ bytes remaining to read$/],
	["stalled", 28, /^ {2}\| curl: \(28\) Operation too slow\. Less than 1 bytes\/sec transferred the last 1 seconds$/],
] as const) {
	test(`a tarball that is ${kind} half-way is an error with curl's words, kept nowhere, and had by the next run`, async (t) => {
		const scratch = host(t);
		scratch.write("in/thing/Makefile", "all:\n");
		writeFileSync(`${scratch.root}/in/thing/noise`, randomBytes(200_000));
		await scratch.bash(`tar -C '${scratch.root}/in' -cf '${scratch.root}/thing.tar' thing`);
		const server = await FaultyServer.start(t, scratch.root);
		const url = `${server.url}/thing.tar`;
		const source = {
			kind: "tarball",
			url,
			sha256: createHash("sha256").update(scratch.bytes("thing.tar")).digest("hex"),
		};
		server.fault = { kind, path: "/thing.tar" };
		failed(t, await fetched(scratch, source, kind === "cut" ? 60 : 1), `downloading ${url} failed (exit ${rc})`, words);
		t.deepEqual(kept(scratch), []);
		server.fault = undefined;
		t.is((await fetched(scratch, source)).stderr, "");
		t.is(scratch.read("got/Makefile"), "all:\n");
	});
}

test("a server that never answers is given up", async (t) => {
	const scratch = host(t);
	const server = await FaultyServer.start(t, () => undefined);
	const url = `${server.url}/thing.tar`;
	const run = await fetched(scratch, { kind: "tarball", url, sha256: "0".repeat(64) }, 1);
	failed(t, run, `downloading ${url} failed (exit 28)`, /^ {2}\| curl: \(28\) Operation too slow/);
});

/** What serves git repositories below a folder, as git's own CGI program does it. */
function gitServer(folder: string): (request: IncomingMessage, response: ServerResponse) => void {
	return async (request, response) => {
		const [path, query = ""] = (request.url ?? "").split("?");
		const env = {
			PATH: process.env["PATH"],
			GIT_CONFIG_NOSYSTEM: "1",
			GIT_PROJECT_ROOT: folder,
			GIT_HTTP_EXPORT_ALL: "1",
			PATH_INFO: path,
			QUERY_STRING: query,
			REQUEST_METHOD: request.method,
			CONTENT_TYPE: request.headers["content-type"] ?? "",
			HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
			GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
		};
		const body = await buffer(request);
		const cgi = execFile("git", ["http-backend"], { env, encoding: "buffer", maxBuffer: 10_000_000 }, (_, answer) => {
			const head = answer.indexOf("\r\n\r\n");
			for (const line of answer.subarray(0, head).toString().split("\r\n")) {
				const [name = "", value = ""] = line.split(": ");
				response.setHeader(name, value);
			}
			response.end(answer.subarray(head + 4));
		});
		// It is killed where the request was cut off, and then takes no more of it.
		cgi.stdin?.on("error", () => {}).end(body);
	};
}

/** A repository with a branch main, on a server; the branch's commit. */
async function repository(t: ExecutionContext, scratch: ScratchHost) {
	writeFileSync(`${scratch.root}/noise`, randomBytes(200_000));
	const { stdout } =
		await scratch.bash(`exec 3>&1 >/dev/null 2>&1; mkdir -p '${scratch.root}/repo'; cd '${scratch.root}/repo'
		git init -q -b main; git config user.name a; git config user.email a@b; mv ../noise .
		echo one >file; git add .; git commit -qm one; printf '{"main":"%s"}' "$(git rev-parse main)" >&3`);
	const server = await FaultyServer.start(t, gitServer(scratch.root));
	return { server, url: `${server.url}/repo/.git`, main: stdout["main"] ?? "" };
}

for (const [kind, words] of [
	["cut", /^ {2}\| fatal: early EOF$/],
	["stalled", /Operation too slow\. Less than 1 bytes\/sec transferred the last 1 seconds/],
] as const) {
	for (const by of ["branch", "commit"] as const) {
		test(`a ${by} whose fetch is ${kind} half-way is an error with git's words, and had by the next run`, async (t) => {
			const scratch = host(t);
			const { server, url, main } = await repository(t, scratch);
			const ref = by === "branch" ? "main" : main;
			const source = { kind: "git", url, ref };
			server.fault = { kind, path: "/repo/.git/git-upload-pack", above: 100_000 };
			const run = await fetched(scratch, source, kind === "cut" ? 60 : 1);
			failed(t, run, `fetching ${ref} of ${url} failed (exit 128)`, words);
			t.false("got" in scratch.tree());
			// Not the whole history, because of one lost connection.
			t.is(run.calls.filter((call) => / fetch -q /.test(call)).length, 1);
			server.fault = undefined;
			t.is((await fetched(scratch, source)).stderr, "");
			t.is(scratch.read("got/file"), "one\n");
			t.true(scratch.bytes("got/noise").equals(scratch.bytes("repo/noise")));
			t.is(scratch.read("got.version"), `${url} ${main}\n`);
		});
	}
}

test("what a killed git leaves does not keep the next one from its work", async (t) => {
	const scratch = host(t);
	const { url } = await repository(t, scratch);
	const source = { kind: "git", url, ref: "main" };
	await fetched(scratch, source);
	const mirror = Object.keys(scratch.tree()).find((path) =>
		/^var\/cache\/tracelab\/sources\/git\/[0-9a-f]{16}$/.test(path),
	);
	const left = ["shallow.lock", "refs/tracelab/wanted.lock", "objects/pack/tmp_pack_0Z9wV1"].map(
		(path) => `${mirror}/${path}`,
	);
	for (const path of left) scratch.write(path, "");
	await scratch.bash(`cd '${scratch.root}/repo'; echo two >file; git commit -qam two`);
	const { code, stderr } = await fetched(scratch, source);
	t.is(code, 0, stderr);
	t.is(scratch.read("got/file"), "two\n");
	t.deepEqual(
		left.filter((path) => path in scratch.tree()),
		[],
	);
});
