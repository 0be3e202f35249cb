import { createHash } from "node:crypto";
import test, { type ExecutionContext } from "ava";
import { scriptText } from "../../components/step-program.ts";
import { fakeDebsnap } from "./fake-debsnap.ts";
import { ScratchHost, type StepRun, treeHash } from "./run-step.ts";

const prefix = "/opt/tracelab/thing/0123456789abcdef";
type Source = Readonly<Record<string, string>>;

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	return scratch;
}

const entries = (map: Source): string =>
	Object.entries(map)
		.map(([key, value]) => `[${key}]='${value}'`)
		.join(" ");

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** Fetches into the folder `got`, then runs `more`. */
function fetched(scratch: ScratchHost, ...given: Parameters<typeof program>): Promise<StepRun> {
	return scratch.bash(program(...given));
}

function program(source: Source, more = "", excluded = "", pin: Source = {}): string {
	return [
		`stack=quick step=qemu-main-build generation=g prefix=${prefix}`,
		`declare -A source=(${entries(source)}) pin=(${entries(pin)})`,
		scriptText("lib/source"),
		"trap on_exit EXIT",
		`source_fetch "$root/got" ${excluded}`,
		more,
	].join("\n");
}

/** The files below `got`. */
function got(scratch: ScratchHost): string[] {
	const files = Object.entries(scratch.tree()).filter(([, text]) => text.startsWith("file"));
	return files.flatMap(([path]) => (path.startsWith("got/") && !path.startsWith("got/.git/") ? [path.slice(4)] : []));
}

async function tarball(scratch: ScratchHost, folder: string, paths: string): Promise<{ url: string; sha256: string }> {
	const { stdout } = await scratch.bash(`cd '${scratch.root}'; tar -C ${folder} -czf t.tar.gz ${paths}
		printf '{"sha256":"%s"}' "$(sha256sum <t.tar.gz | cut -d' ' -f1)"`);
	return { url: `file://${scratch.root}/t.tar.gz`, sha256: stdout["sha256"] ?? "" };
}

test("a tarball is checked, kept by its sum, and unpacked without its one folder", async (t) => {
	const scratch = host(t);
	scratch.fake("curl", 'exec /usr/bin/curl "$@"');
	scratch.write("in/thing-1.0/Makefile", "all:\n");
	scratch.write("in/thing-1.0/docs/big", "words\n");
	const source = { kind: "tarball", ...(await tarball(scratch, "in", "thing-1.0")) };
	const first = await fetched(scratch, source);
	t.is(first.stderr, "");
	t.deepEqual(got(scratch), ["Makefile", "docs/big"]);
	t.is(scratch.read("got.version"), `${source.url} ${source.sha256}\n`);
	t.is(first.calls.length, 1);
	await scratch.bash(`rm -r '${scratch.root}/got'`);
	const second = await fetched(scratch, source, "", "'*/docs/*'");
	t.deepEqual(second.calls, []);
	t.deepEqual(got(scratch), ["Makefile"]);
	await scratch.bash(`rm -r '${scratch.root}/got'`);
	scratch.write(`var/cache/tracelab/sources/sha256/${source.sha256}`, "changed\n");
	t.is((await fetched(scratch, source)).calls.length, 1);
	t.deepEqual(got(scratch), ["Makefile", "docs/big"]);
});

test("a tarball without a folder of its own is unpacked as it is", async (t) => {
	const scratch = host(t);
	scratch.write("in/Makefile", "all:\n");
	scratch.write("in/main.c", "");
	await fetched(scratch, { kind: "tarball", ...(await tarball(scratch, "in", "Makefile main.c")) });
	t.deepEqual(got(scratch), ["Makefile", "main.c"]);
});

test("what is in a tarball belongs to who unpacks it, and nobody else may write to it", async (t) => {
	const scratch = host(t);
	scratch.write("in/thing/Makefile", "all:\n");
	scratch.write("in/thing/configure", "#!/bin/sh\n", 0o755);
	const packed = "--owner=1234 --group=1234 --mode=ug+s,a+w thing";
	await fetched(scratch, { kind: "tarball", ...(await tarball(scratch, "in", packed)) });
	const owner = `${process.getuid?.()}:${process.getgid?.()}`;
	const is = (path: string) => scratch.tree()[path]?.split(" ").slice(0, 3).join(" ");
	t.deepEqual(["got", "got/Makefile", "got/configure"].map(is), [
		`folder 755 ${owner}`,
		`file 644 ${owner}`,
		`file 755 ${owner}`,
	]);
});

test("a tarball with another sum is an error with both, and nothing of it is kept", async (t) => {
	const scratch = host(t);
	scratch.write("in/thing/Makefile", "all:\n");
	const { url, sha256 } = await tarball(scratch, "in", "thing");
	const wrong = "0".repeat(64);
	const { code, stderr } = await fetched(scratch, { kind: "tarball", url, sha256: wrong });
	t.is(code, 1);
	t.is(
		stderr,
		[
			`tracelab: qemu-main-build: ${url} has the sha256 ${sha256}, not ${wrong}; nothing of it was kept`,
			"  what to do: check the address and the sum in the stack file; if both are right, the file was changed since",
		].join("\n"),
	);
	t.deepEqual(
		Object.entries(scratch.tree()).filter(([path, text]) => path.startsWith("var/cache") && text.startsWith("file")),
		[],
	);
	t.deepEqual(got(scratch), []);
});

test("a tarball that is not there is an error with curl's words", async (t) => {
	const scratch = host(t);
	const url = `file://${scratch.root}/nothing`;
	const { code, stderr } = await fetched(scratch, { kind: "tarball", url, sha256: "0".repeat(64) });
	t.is(code, 1);
	t.true(
		stderr.startsWith(`tracelab: qemu-main-build: downloading ${url} failed (exit 37); the last lines of `),
		stderr,
	);
});

/** A repository with a tag v1 and, after it, a branch main; their commits. */
async function repository(scratch: ScratchHost): Promise<{ url: string; v1: string; main: string }> {
	const { stdout } =
		await scratch.bash(`exec 3>&1 >/dev/null 2>&1; mkdir -p '${scratch.root}/repo'; cd '${scratch.root}/repo'
		git init -q -b main; git config user.name a; git config user.email a@b
		export GIT_COMMITTER_DATE='2020-01-02T03:04:05Z'
		echo one >file; git add file; git commit -qm one; git tag v1; echo two >file; git commit -qam two
		printf '{"v1":"%s","main":"%s"}' "$(git rev-parse v1)" "$(git rev-parse main)" >&3`);
	return { url: `file://${scratch.root}/repo`, v1: stdout["v1"] ?? "", main: stdout["main"] ?? "" };
}

for (const [what, ref, text] of [
	["tag", "v1", "one\n"],
	["branch", "main", "two\n"],
	["commit", undefined, "one\n"],
] as const) {
	test(`a ${what} of a git repository is checked out with its commit's date`, async (t) => {
		const scratch = host(t);
		const { url, v1, main } = await repository(scratch);
		const source = { kind: "git", url, ref: ref ?? v1 };
		const { stderr, stdout } = await fetched(
			scratch,
			source,
			`printf '{"date":"%s"}' "$(stat -c %Y "$root/got/file")"`,
		);
		t.is(stderr, "");
		t.is(scratch.read("got/file"), text);
		t.is(scratch.read("got.version"), `${url} ${ref === "main" ? main : v1}\n`);
		t.is(stdout["date"], String(Date.UTC(2020, 0, 2, 3, 4, 5) / 1000));
		await scratch.bash(`rm -rf '${scratch.root}/got'`);
		t.is((await fetched(scratch, source)).code, 0);
		t.is(scratch.read("got/file"), text);
	});
}

for (const [what, harm] of [
	["before anything was in it", "rm -r $mirror/*"],
	["before it had a HEAD", "rm $mirror/HEAD $mirror/config; touch $mirror/HEAD.lock"],
] as const) {
	test(`a git repository's place in the cache whose making was killed ${what} is made by the next fetch`, async (t) => {
		const scratch = host(t);
		const { url } = await repository(scratch);
		const mirror = `var/cache/tracelab/sources/git/${sha256(url).slice(0, 16)}`;
		await scratch.bash(`mirror='${scratch.root}/${mirror}'; git init -q --bare $mirror; ${harm}`);
		t.false(`${mirror}/HEAD` in scratch.tree());
		t.is((await fetched(scratch, { kind: "git", url, ref: "v1" })).stderr, "");
		t.is(scratch.read("got/file"), "one\n");
	});
}

test("a ref that a git repository doesn't have is an error that says so", async (t) => {
	const scratch = host(t);
	const { url } = await repository(scratch);
	const { code, stderr } = await fetched(scratch, { kind: "git", url, ref: "v9" });
	t.is(code, 1);
	t.is(
		stderr,
		`tracelab: qemu-main-build: ${url} has no v9\n  what to do: give a tag, a branch or a commit that is there: git ls-remote ${url}`,
	);
});

test("a git repository behind ssh is fetched without a question, which nobody would hear", async (t) => {
	const scratch = host(t);
	scratch.fake("ssh", 'echo "ssh was given: $* (and git asks: $GIT_TERMINAL_PROMPT)" >&2; exit 255');
	const source = { kind: "git", url: "git@127.0.0.1:me/x.git", ref: "v1" };
	const asked = await fetched(scratch, source);
	t.is(asked.code, 1);
	t.regex(
		asked.stderr,
		/ssh was given: -o BatchMode=yes .*git@127\.0\.0\.1 git-upload-pack 'me\/x\.git' \(and git asks: 0\)/,
	);
	const own = await scratch.bash(`export GIT_SSH_COMMAND='ssh -i mine'\n${program(source)}`);
	t.regex(own.stderr, /ssh was given: -i mine -o BatchMode=yes /);
});

test("a git repository that is not there is an error with git's words", async (t) => {
	const scratch = host(t);
	const url = `file://${scratch.root}/nothing`;
	const { code, stderr } = await fetched(scratch, { kind: "git", url, ref: "v1" });
	t.is(code, 1);
	t.regex(
		stderr,
		/^tracelab: qemu-main-build: fetching v1 of file:.* failed \(exit 128\); the last lines of .*\n(.*\n)*.*does not appear/,
	);
});

test("a working tree is used where it is, and its state is told apart from any other", async (t) => {
	const scratch = host(t);
	scratch.write("mine/file", "one\n");
	scratch.write("mine/.git/index", "one\n");
	const source = { kind: "path", path: `${scratch.root}/mine` };
	const before = treeHash(source.path);
	t.is((await fetched(scratch, source)).stderr, "");
	t.is(treeHash(source.path), before);
	t.is(scratch.tree()["got"], `link ${source.path}`);
	const state = scratch.read("got.version");
	const again = async (): Promise<string> => {
		await scratch.bash(`rm '${scratch.root}/got'`);
		await fetched(scratch, source);
		return scratch.read("got.version");
	};
	scratch.write("mine/.git/index", "another\n");
	t.is(await again(), state);
	scratch.write("mine/file", "two\n");
	t.not(await again(), state);
});

const edits: readonly [what: string, edit: string][] = [
	["a file", "echo two >mine/file"],
	["the mode of a file", "chmod +x mine/file"],
	["where a link leads to", "ln -sfn fil2 mine/link; touch -h -d @1 mine/link"],
];

for (const [what, edit] of edits) {
	test(`a working tree that is named by a link to it has another state once there is another: ${what}`, async (t) => {
		const scratch = host(t);
		scratch.write("mine/file", "one\n");
		await scratch.bash(`cd '${scratch.root}'; ln -s mine linked; ln -s file mine/link; touch -h -d @1 mine/link`);
		const state = async (): Promise<string> => {
			await fetched(scratch, { kind: "path", path: `${scratch.root}/linked` });
			await scratch.bash(`rm '${scratch.root}/got'`);
			return scratch.read("got.version");
		};
		const before = await state();
		t.is(await state(), before);
		await scratch.bash(`cd '${scratch.root}'; ${edit}`);
		t.not(await state(), before);
	});
}

test("a working tree that is not there is an error", async (t) => {
	const scratch = host(t);
	const { code, stderr } = await fetched(scratch, { kind: "path", path: "/nowhere/at/all" });
	t.is(code, 1);
	t.is(
		stderr,
		"tracelab: qemu-main-build: the folder /nowhere/at/all is not there\n  what to do: mend the path in the stack file",
	);
});

const dsc = ["Version: 1-2", "Checksums-Sha256:", ` ${sha256("upstream\n")} 9 hello_1.orig.tar`, "Files:", ""].join(
	"\n",
);

/** How apt lists a file that it would download. */
const listed = (file: string, text: string): string =>
	`echo "'http://mirror.test/pool/${file}' ${file} ${text.length} SHA256:${sha256(text)}"`;

/** A Debian host whose apt knows the source package `hello` and the kernel's source. */
function debian(t: ExecutionContext): ScratchHost {
	const scratch = host(t);
	scratch.write("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
	scratch.write(
		"etc/apt/sources.list.d/debian.sources",
		"Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\n",
	);
	scratch.write("etc/apt/sources.list", "deb [arch=amd64] http://mirror.test/debian-security bookworm-security main\n");
	scratch.fake(
		"apt-get",
		`case "$*" in
		*" update") [ ! -e "$root/offline" ] || { echo 'Temporary failure resolving'; exit 100; } ;;
		*"--print-uris --only-source --download-only source hello" | *"--print-uris --only-source --download-only source hello=1-2")
			echo 'Need to get 99 B'; ${listed("hello_1-2.dsc", dsc)}; ${listed("hello_1.orig.tar", "upstream\n")} ;;
		*"--print-uris download hello-dkms") ${listed("hello-dkms_2.0-1_all.deb", "")} ;;
		*"--print-uris download linux-source-6.1" | *"--print-uris download linux-source-6.1=6.1.9-1")
			${listed("linux-source-6.1_6.1.9-1_all.deb", "")} ;;
		*" --print-uris "*) exit 100 ;;
		*"--download-only source hello" | *"--download-only source hello=1-2") printf '%s' '${dsc}' >hello_1-2.dsc; echo upstream >hello_1.orig.tar ;;
		*"download hello-dkms") : >hello-dkms_2.0-1_all.deb ;;
		*"download linux-source-6.1" | *"download linux-source-6.1=6.1.9-1") : >linux-source-6.1_6.1.9-1_all.deb ;;
		*) exit 100 ;;
		esac`,
	);
	scratch.fake("dpkg-source", `mkdir -p "\${*: -1}"; echo patched >"\${*: -1}/file"`);
	scratch.fake(
		"dpkg-deb",
		`cd "$own"; if [[ $* == *dkms* ]]; then
			mkdir -p usr/src/hello-2.0/src; echo obj-m >usr/src/hello-2.0/src/Kbuild; tar -c ./usr; exit; fi
		mkdir -p linux-source-6.1/Documentation/x usr/src; echo words >linux-source-6.1/Documentation/x/y
		echo all: >linux-source-6.1/Makefile; tar -cJf usr/src/linux-source-6.1.tar.xz linux-source-6.1; tar -c ./usr`,
	);
	return scratch;
}

/** The calls without the options that make apt our own, and without what the host's is asked. */
function short(run: StepRun): string[] {
	return run.calls.map((call) => call.replaceAll(/ -o \S+/g, "")).filter((call) => !call.includes(" indextargets "));
}

test("a Debian source is downloaded by an apt of our own and unpacked with its patches", async (t) => {
	const scratch = debian(t);
	const apt = treeHash(`${scratch.root}/etc`);
	const first = await fetched(scratch, { kind: "debian", package: "hello" });
	t.is(first.stderr, "");
	const downloads = `${scratch.root}/var/cache/tracelab/sources/debian`;
	t.deepEqual(short(first), [
		"apt-get --error-on=any update",
		"apt-get -qq --print-uris --only-source --download-only source hello",
		"apt-get --only-source --download-only source hello",
		`dpkg-source --no-check -x ${downloads}/hello_1-2.dsc ${scratch.root}/got`,
	]);
	t.is(scratch.read("got.version"), "hello 1-2\n");
	t.is(treeHash(`${scratch.root}/etc`), apt);
	const state = `${scratch.root}/var/cache/tracelab/apt-sources/bookworm`;
	for (const option of [
		`Dir::Etc::sourcelist=${state}/sources.list`,
		"Dir::Etc::sourceparts=-",
		`Dir::State::lists=${state}/lists`,
	])
		t.true(
			first.calls.every((call) => !/^apt(?!.* indextargets )/.test(call) || call.includes(`-o ${option} `)),
			option,
		);
	const signed = `[signed-by=${scratch.root}/usr/share/keyrings/debian-archive-keyring.gpg]`;
	t.is(
		scratch.read("var/cache/tracelab/apt-sources/bookworm/sources.list"),
		[
			`deb ${signed} http://mirror.test/debian bookworm main`,
			`deb-src ${signed} http://mirror.test/debian bookworm main`,
			`deb ${signed} http://mirror.test/debian-security bookworm-security main`,
			`deb-src ${signed} http://mirror.test/debian-security bookworm-security main`,
			"",
		].join("\n"),
	);
	await scratch.bash(`rm -r '${scratch.root}/got'`);
	t.deepEqual(short(await fetched(scratch, { kind: "debian", package: "hello" })), [
		"apt-get -qq --print-uris --only-source --download-only source hello",
		`dpkg-source --no-check -x ${downloads}/hello_1-2.dsc ${scratch.root}/got`,
	]);
});

test("a suite that is given is the one that is asked", async (t) => {
	const scratch = debian(t);
	await fetched(scratch, { kind: "debian", package: "hello", suite: "bookworm-backports" });
	const list = scratch.read("var/cache/tracelab/apt-sources/bookworm-backports/sources.list");
	t.deepEqual(list.match(/\S+ main$/gm), ["bookworm-backports main", "bookworm-backports main"]);
});

test("the kernel's source comes out of its binary package, without what is not wanted, and is downloaded once", async (t) => {
	const scratch = debian(t);
	const source = { kind: "debian", package: "linux-source-6.1" };
	t.is((await fetched(scratch, source, "", "'*/Documentation/*/*'")).stderr, "");
	t.deepEqual(got(scratch), ["Makefile"]);
	t.is(scratch.read("got.version"), "linux-source-6.1 6.1.9-1\n");
	await scratch.bash(`rm -r '${scratch.root}/got'`);
	const second = await fetched(scratch, source);
	t.deepEqual(
		short(second).filter((call) => call.startsWith("apt-get")),
		["apt-get -qq --print-uris download linux-source-6.1"],
	);
	t.deepEqual(got(scratch), ["Documentation/x/y", "Makefile"]);
});

test("a module's source for any kernel comes out of its binary package as it is", async (t) => {
	const scratch = debian(t);
	const run = await fetched(scratch, { kind: "debian", package: "hello-dkms", suite: "sid" });
	t.is(run.stderr, "");
	t.deepEqual(got(scratch), ["src/Kbuild"]);
	t.is(scratch.read("got.version"), "hello-dkms 2.0-1\n");
});

for (const [name, what] of [
	["nothing", "source package nothing"],
	["linux-source-9.9", "package linux-source-9.9"],
] as const) {
	test(`a ${what} that Debian doesn't have is an error`, async (t) => {
		const { code, stderr } = await fetched(debian(t), { kind: "debian", package: name });
		t.is(code, 1);
		t.is(stderr.split("\n")[0], `tracelab: qemu-main-build: Debian's bookworm has no ${what}`);
	});
}

test("no network is an error with apt's words", async (t) => {
	const scratch = debian(t);
	scratch.write("offline", "");
	const { code, stderr } = await fetched(scratch, { kind: "debian", package: "hello" });
	t.is(code, 1);
	t.regex(
		stderr,
		/^tracelab: qemu-main-build: reading Debian's package lists for bookworm failed \(exit 100\).*\n {2}\| Temporary failure resolving\n/,
	);
});

/** What was recorded of the source, by fact. */
function recorded(scratch: ScratchHost): Record<string, string> {
	const folder = `${prefix.slice(1)}.work/record/`;
	const files = Object.keys(scratch.tree()).filter((path) => path.startsWith(folder));
	return Object.fromEntries(files.map((path) => [path.slice(folder.length), scratch.read(path).trimEnd()]));
}

const update = "./lab lock --update qemu-main -s quick";

for (const [kind, name, version, text] of [
	["source package", "hello", "1-2", dsc],
	["package", "linux-source-6.1", "6.1.9-1", ""],
] as const) {
	test(`of a Debian ${kind}, its version and the sum of what was verified are recorded, and it is held to those`, async (t) => {
		const scratch = debian(t);
		const source = { kind: "debian", package: name };
		await fetched(scratch, source);
		const pin = recorded(scratch);
		t.deepEqual(pin, { version, sha256: sha256(text) });
		await scratch.bash(`rm -r '${scratch.root}/got' '${scratch.root}/var/cache'`);
		const again = await fetched(scratch, source, "", "", pin);
		t.deepEqual([again.code, again.stderr], [0, ""]);
		t.true(
			short(again)
				.filter((call) => call.startsWith("apt") && !call.endsWith("update"))
				.every((call) => call.endsWith(`${name}=${version}`)),
		);
		await scratch.bash(`rm -r '${scratch.root}/got'`);
		const other = await fetched(scratch, source, "", "", { ...pin, sha256: "0" });
		t.is(other.code, 1);
		t.is(
			other.stderr,
			[
				`tracelab: qemu-main-build: the lock pins sha256 0, and here it is ${pin["sha256"]}`,
				`  what to do: go back to what the lock pins, or: ${update}`,
			].join("\n"),
		);
		t.deepEqual(got(scratch), []);
	});
}

for (const [kind, name, version, options, files] of [
	["source package", "hello", "1:0-1", "", { "hello_0-1.dsc": dsc, "hello_1.orig.tar": "upstream\n" }],
	[
		"package",
		"linux-source-6.1",
		"0-1",
		"--binary --architecture all --architecture amd64 ",
		{ "linux-source-6.1_0-1_all.deb": "" },
	],
] as const) {
	const [main = "", text = ""] = Object.entries(files)[0] ?? [];
	const pin = { version, sha256: sha256(text) };
	const source = { kind: "debian", package: name };
	const taking = `qemu-main-build: taking from Debian's archive of all versions, since its mirrors have moved on: ${name}=${version}`;
	/** A host whose archive has that version. */
	const archived = (t: ExecutionContext): ScratchHost => {
		const scratch = debian(t);
		fakeDebsnap(scratch);
		for (const [file, text] of Object.entries(files)) scratch.write(`archive/${name}=${version}/${file}`, text);
		return scratch;
	};
	/** The error where what comes is not what the lock pins. */
	const neither = (scratch: ScratchHost): string =>
		[
			taking,
			`tracelab: qemu-main-build: neither Debian's bookworm nor Debian's archive of all versions has the ${kind} ${name} ${version} with the sha256 that the lock pins`,
			`  what to do: see the end of ${scratch.root}/var/log/tracelab/quick/qemu-main-build.log; if that archive was not reached, run up again, or else take what there is now: ${update}`,
		].join("\n");

	test(`a Debian ${kind} that the lock pins and the mirrors dropped is taken from Debian's archive, once`, async (t) => {
		const scratch = archived(t);
		// Of another version, that was changed since: it is not what stays.
		scratch.write("var/cache/tracelab/sources/debian/hello_1.orig.tar", "changed\n");
		const run = await fetched(scratch, source, "", "", pin);
		t.deepEqual([run.code, run.stderr], [0, taking]);
		t.true(got(scratch).length > 0);
		t.is(scratch.read("got.version"), `${name} ${version}\n`);
		t.deepEqual(recorded(scratch), pin);
		const folder = `${scratch.root}/var/cache/tracelab/sources/debian`;
		t.deepEqual(
			run.calls.filter((call) => call.startsWith("debsnap")),
			[`debsnap --verbose ${options}--destdir ${folder}/gone ${name} ${version}`],
		);
		for (const [file, text] of Object.entries(files))
			t.is(scratch.read(`${folder.slice(scratch.root.length)}/${file}`), text);
		t.false("var/cache/tracelab/sources/debian/gone" in scratch.tree());
		await scratch.bash(`rm -r '${scratch.root}/got'`);
		const again = await fetched(scratch, source, "", "", pin);
		t.deepEqual([again.code, again.stderr], [0, ""]);
		t.false(again.calls.some((call) => call.startsWith("apt") || call.startsWith("debsnap")));
	});

	test(`a Debian ${kind} that is nowhere is an error with debsnap's words in the log`, async (t) => {
		const scratch = archived(t);
		await scratch.bash(`rm -r '${scratch.root}/archive'`);
		const { code, stderr } = await fetched(scratch, source, "", "", pin);
		t.deepEqual([code, stderr], [1, neither(scratch)]);
		const log = scratch.read("var/log/tracelab/quick/qemu-main-build.log");
		t.true(log.endsWith(`\n$ debsnap ${name}=${version}\ndebsnap: No matching versions found for ${name}\n`), log);
		t.deepEqual(got(scratch), []);
	});

	for (const file of Object.keys(files)) {
		test(`a Debian ${kind} from Debian's archive with another ${file} than the lock pins is refused`, async (t) => {
			const scratch = archived(t);
			scratch.write(`archive/${name}=${version}/${file}`, "other\n");
			const { code, stderr } = await fetched(scratch, source, "", "", pin);
			t.deepEqual([code, stderr], [1, neither(scratch)]);
			t.deepEqual(got(scratch), []);
		});
	}

	test(`a Debian ${kind} of which the lock has no sum is taken from no archive: ${main}`, async (t) => {
		const scratch = archived(t);
		const { code, stderr, calls } = await fetched(scratch, source, "", "", { version });
		t.is(code, 1);
		t.is(
			stderr,
			[
				`tracelab: qemu-main-build: Debian's bookworm has no ${kind} ${name} ${version} any more, which the lock pins without a sha256`,
				`  what to do: take what there is now: ${update}`,
			].join("\n"),
		);
		t.false(calls.some((call) => call.startsWith("debsnap")));
	});
}

for (const [name, kept] of [
	["hello", "hello_1-2.dsc"],
	["hello", "hello_1.orig.tar"],
	["linux-source-6.1", "linux-source-6.1_6.1.9-1_all.deb"],
] as const) {
	test(`a Debian source that the lock pins and that is kept needs no apt, unless ${kept} is not whole`, async (t) => {
		const scratch = debian(t);
		const source = { kind: "debian", package: name };
		await fetched(scratch, source);
		const pin = recorded(scratch);
		const asks = async (): Promise<boolean> => {
			await scratch.bash(`rm -r '${scratch.root}/got'`);
			const { code, calls } = await fetched(scratch, source, "", "", pin);
			t.is(code, 0);
			t.true(got(scratch).length > 0);
			return calls.some((call) => call.startsWith("apt"));
		};
		t.false(await asks());
		scratch.write(`var/cache/tracelab/sources/debian/${kept}`, "changed\n");
		t.true(await asks());
		t.false(await asks());
	});
}

test("a git source is the commit that the lock pins, wherever its branch is now", async (t) => {
	const scratch = host(t);
	const { url, v1, main } = await repository(scratch);
	const source = { kind: "git", url, ref: "main" };
	await fetched(scratch, source, "", "", { commit: v1 });
	t.is(scratch.read("got/file"), "one\n");
	t.deepEqual(recorded(scratch), { commit: v1 });
	await scratch.bash(`rm -rf '${scratch.root}/got'`);
	await fetched(scratch, source);
	t.deepEqual(recorded(scratch), { commit: main });
	await scratch.bash(`cd '${scratch.root}'; rm -rf got; mv repo gone`);
	await fetched(scratch, source, "", "", { commit: v1 });
	t.is(scratch.read("got/file"), "one\n");
	await scratch.bash(`cd '${scratch.root}'; rm -rf got; mv gone repo`);
	const gone = "0".repeat(40);
	const { code, stderr } = await fetched(scratch, source, "", "", { commit: gone });
	t.is(code, 1);
	t.is(
		stderr,
		`tracelab: qemu-main-build: ${url} has no ${gone}\n  what to do: the lock pins it; take what main is now: ${update}`,
	);
});

/** What holds a source that was fetched: its files below the cache's folder. */
const kept = `files=$(kept_sources); output files "$files"; json_object "\${outputs[@]}"`;

test("the files that hold a source are named, whatever else is kept", async (t) => {
	const scratch = debian(t);
	const cache = `${scratch.root}/var/cache/tracelab/`;
	const files = async (source: Source): Promise<string[]> => {
		await scratch.bash(`rm -rf '${scratch.root}/got'`);
		const { stdout } = await fetched(scratch, source, kept);
		return (stdout["files"] ?? "").split("\n").map((file) => file.replace(cache, ""));
	};
	t.deepEqual(await files({ kind: "debian", package: "hello" }), [
		"sources/debian/hello_1-2.dsc",
		"sources/debian/hello_1.orig.tar",
	]);
	const deb = "sources/debian/linux-source-6.1_6.1.9-1_all.deb";
	t.deepEqual(await files({ kind: "debian", package: "linux-source-6.1" }), [deb]);
	scratch.write("in/Makefile", "all:\n");
	scratch.fake("curl", 'exec /usr/bin/curl "$@"');
	const source = { kind: "tarball", ...(await tarball(scratch, "in", "Makefile")) };
	t.deepEqual(await files(source), [`sources/sha256/${source.sha256}`]);
	t.deepEqual(await files({ kind: "path", path: `${scratch.root}/in` }), [""]);
});

test("a commit is taken from its pack where the repository is gone, and packed to the same bytes again", async (t) => {
	const scratch = host(t);
	const { url, main } = await repository(scratch);
	const source = { kind: "git", url, ref: "main" };
	const { stdout } = await fetched(scratch, source, kept);
	const pack = `var/cache/tracelab/sources/git/${main}.pack`;
	t.is(stdout["files"], `${scratch.root}/${pack}`);
	const hash = treeHash(`${scratch.root}/var/cache/tracelab/sources/git`, [...mirrors(scratch)]);
	const elsewhere = async (change: string): Promise<StepRun> => {
		const folders = [...mirrors(scratch)].map((name) => `var/cache/tracelab/sources/git/${name}`).join(" ");
		await scratch.bash(`cd '${scratch.root}'; rm -rf got repo ${folders}; ${change}`);
		return fetched(scratch, source, kept, "", { commit: main });
	};
	t.is((await elsewhere("")).code, 0);
	t.is(scratch.read("got/file"), "two\n");
	t.is((await elsewhere(`mv ${pack} aside; cp aside ${pack}`)).code, 0);
	await scratch.bash(`cd '${scratch.root}'; rm -rf got ${pack}`);
	t.is((await fetched(scratch, source, kept, "", { commit: main })).code, 0);
	t.is(treeHash(`${scratch.root}/var/cache/tracelab/sources/git`, [...mirrors(scratch)]), hash);
	const { code, stderr } = await elsewhere(`echo changed >${pack}`);
	t.is(code, 1);
	t.regex(stderr, /^tracelab: qemu-main-build: fetching [0-9a-f]{40} of file:.* failed /);
});

test("a commit's pack is the same bytes, however it was compressed and whatever tags were there", async (t) => {
	const scratch = host(t);
	await repository(scratch);
	// Of fewer objects git keeps no pack, but each by itself.
	const { stdout } =
		await scratch.bash(`cd '${scratch.root}/repo'; for i in {1..120}; do mkdir d$i; seq $i 200 >d$i/f; done
		git add .; git commit -qm many >/dev/null; git clone -q --bare . ../stored; git clone -q --bare . ../tagged
		git -C ../stored config core.compression 0; git -C ../stored repack -qadF
		git -C ../tagged tag same; git -C ../tagged tag blob main:d7/f
		printf '{"commit":"%s"}' "$(git rev-parse main)"`);
	const sum = async (repository: string, ref: string): Promise<string> => {
		const source = { kind: "git", url: `file://${scratch.root}/${repository}`, ref };
		const summed = `pack=$(kept_sources); output sum "$(sha256sum <"$pack")"; json_object "\${outputs[@]}"`;
		const { stdout, stderr } = await fetched(scratch, source, summed);
		t.is(stderr, "");
		await scratch.bash(`cd '${scratch.root}'; rm -rf got var opt`);
		return stdout["sum"] ?? "";
	};
	const first = await sum("repo", "main");
	t.regex(first, /^[0-9a-f]{64} /);
	t.is(await sum("stored", "main"), first);
	t.is(await sum("tagged", "main"), first);
	// By this name no server gives it alone: all that it has is fetched, with all tags.
	t.is(await sum("tagged", stdout["commit"]?.slice(0, 12) ?? ""), first);
});

/** Names of the repositories' mirrors in the cache. */
function mirrors(scratch: ScratchHost): Set<string> {
	const names = Object.keys(scratch.tree()).flatMap(
		(path) => /^var\/cache\/tracelab\/sources\/git\/([0-9a-f]{16})$/.exec(path)?.[1] ?? [],
	);
	return new Set(names);
}

test("a repository with submodules is in no bundle", async (t) => {
	const scratch = host(t);
	const { url } = await repository(scratch);
	await scratch.bash(`cd '${scratch.root}/repo'; echo >.gitmodules; git add .; git commit -qm three >/dev/null`);
	const { code, stderr } = await fetched(scratch, { kind: "git", url, ref: "main" }, kept);
	t.is(code, 1);
	t.is(
		stderr,
		[
			`tracelab: qemu-main-build: ${url} has submodules, which are fetched when it is built: no bundle has these`,
			"  what to do: give a Debian source or a tarball in the stack file",
		].join("\n"),
	);
});

test("a tarball is held to the sum that the lock pins, before it is downloaded", async (t) => {
	const scratch = host(t);
	const source = { kind: "tarball", url: "file:///nothing", sha256: "1" };
	const { stderr } = await fetched(scratch, source, "", "", { sha256: "2" });
	t.is(stderr.split("\n")[0], "tracelab: qemu-main-build: the lock pins sha256 2, and here it is 1");
});

test("a working tree is held to its content: not to its times, nor to what git and builds leave in it", async (t) => {
	const scratch = host(t);
	scratch.write("mine/file", "one\n");
	const source = { kind: "path", path: `${scratch.root}/mine` };
	await fetched(scratch, source);
	const pin = recorded(scratch);
	t.regex(pin["tree"] ?? "", /^[0-9a-f]{64}$/);
	const again = async (): Promise<StepRun> => {
		await scratch.bash(`rm -f '${scratch.root}/got'`);
		return fetched(scratch, source, "", "", pin);
	};
	scratch.write("mine/.git/index", "");
	scratch.write("mine/file.o", "");
	await scratch.bash(`touch -d @1 '${scratch.root}/mine/file'`);
	t.is((await again()).code, 0);
	scratch.write("mine/file", "two\n");
	const { code, stderr } = await again();
	t.is(code, 1);
	t.regex(stderr, /^tracelab: qemu-main-build: the lock pins tree [0-9a-f]{64}, and here it is [0-9a-f]{64}\n/);
});

test("what a source is now is told without unpacking it", async (t) => {
	const scratch = debian(t);
	const source = { kind: "debian", package: "hello" };
	const inputs = { prefix, source, pin: { version: "0-1" } };
	scratch.fake("dpkg-query", "echo 'gcc-12 12.2.0-14'");
	const program = Object.entries(inputs).map(([name, value]) =>
		typeof value === "string" ? `${name}='${value}'` : `declare -A ${name}=(${entries(value)})`,
	);
	const { stdout, calls } = await scratch.bash(
		["stack=quick step=qemu-main-build generation=g", ...program, scriptText("lib/source"), "step_main inputs"].join(
			"\n",
		),
	);
	t.deepEqual(stdout, {
		build: "thing/0123456789abcdef",
		sha256: sha256(dsc),
		tools: "gcc-12 12.2.0-14",
		version: "1-2",
	});
	t.false(calls.some((call) => call.startsWith("dpkg-source")));
});

// A port on which nobody listens: what is asked for goes no further.
const proxied = (scratch: ScratchHost, source: Source, password: string): Promise<StepRun> => {
	const program = [
		`export {http,https,all}_proxy=http://me:${password}@127.0.0.1:9 PULUMI_CONFIG_PASSPHRASE=${password}`,
		`stack=quick step=qemu-main-build generation=g prefix=${prefix} step_program='its text'`,
		`declare -A source=(${entries(source)}) pin=()`,
		scriptText("lib/source"),
		"trap on_exit EXIT",
		'probe() { :; }; apply() { source_fetch "$root/got"; }; remove() { :; }',
		'step_main "$@"',
	];
	return scratch.bash(program.join("\n"), "apply");
};

for (const [kind, source, said] of [
	["tarball", { url: "http://127.0.0.1:8/x.tar.gz", sha256: "0".repeat(64) }, /curl: \(\d+\) .*127\.0\.0\.1 port 9 /],
	["git", { url: "http://127.0.0.1:8/x.git", ref: "v1" }, /fatal: unable to access .*127\.0\.0\.1 port 9 /],
] as const) {
	test(`a proxy's password is in no file and no error where a ${kind} cannot be had through it`, async (t) => {
		const scratch = host(t);
		const password = "hush-5f1c9a";
		const { code, stdout, stderr } = await proxied(scratch, { kind, ...source }, password);
		t.is(code, 1);
		t.regex(stderr, said);
		t.false((JSON.stringify(stdout) + stderr).includes(password));
		const { stderr: holders } = await scratch.bash(`grep -rlF ${password} '${scratch.root}' >&2`);
		t.is(holders, "");
		t.true(Object.keys(scratch.tree([])).some((path) => path.endsWith("qemu-main-build.log")));
	});
}

test("a password in the address of the host's Debian mirror is copied for root alone", async (t) => {
	const scratch = host(t);
	const password = "hush-5f1c9a";
	scratch.write("etc/os-release", "VERSION_CODENAME=bookworm\n");
	scratch.write("etc/apt/sources.list", `deb http://me:${password}@mirror.test/debian bookworm main\n`, 0o600);
	scratch.fake("apt-get", "exit 100");
	const { code, stderr } = await fetched(scratch, { kind: "debian", package: "hello" });
	t.is(code, 1);
	t.false(stderr.includes(password));
	const { stderr: holders } = await scratch.bash(
		`cd '${scratch.root}'; grep -rlF ${password} . | xargs stat -c '%a %n' >&2`,
	);
	t.deepEqual(holders.split("\n").sort(), [
		"600 ./etc/apt/sources.list",
		"600 ./var/cache/tracelab/apt-sources/bookworm/sources.list",
	]);
});
