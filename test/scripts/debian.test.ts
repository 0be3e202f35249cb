import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import anyTest, { type ExecutionContext } from "ava";
import { scriptText } from "../../components/step-program.ts";
import { altered, DebianArchive, type DebianMirror } from "./debian-mirror.ts";
import { fakeDebsnap } from "./fake-debsnap.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

const tools = ["apt-get", "gpg", "gpgv", "dpkg-deb", "dpkg-scanpackages", "dpkg-scansources", "dpkg-source"];
const missing = tools.filter((tool) => !existsSync(`/usr/bin/${tool}`));
const test = missing.length === 0 ? anyTest : anyTest.skip;
const why = missing.length === 0 ? "" : ` (skipped: not installed: ${missing.join(", ")})`;

let archive: DebianArchive;
anyTest.before("an archive", async () => {
	archive = await DebianArchive.make();
});
anyTest.after.always("no archive", () => archive?.remove());

const keyring = "usr/share/keyrings/debian-archive-keyring.gpg";

/** A host with the real apt, whose only mirror is that one. */
async function host(t: ExecutionContext): Promise<{ scratch: ScratchHost; mirror: DebianMirror }> {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	const mirror = await archive.mirror(t);
	scratch.write("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
	scratch.write("etc/apt/sources.list", `deb ${mirror.url} bookworm main\n`);
	scratch.write(keyring, mirror.keyring);
	// Nothing of this machine's own configuration, which may name a proxy.
	const conf = scratch.write("apt.conf", 'Dir::Etc::main "/dev/null";\nDir::Etc::parts "/dev/null";\n');
	scratch.fake("apt-get", `APT_CONFIG=${conf} exec /usr/bin/apt-get "$@"`);
	scratch.fake("dpkg", `exec /usr/bin/dpkg "$@"`);
	return { scratch, mirror };
}

/** Has the host's own apt read its lists. */
async function readLists(t: ExecutionContext, scratch: ScratchHost): Promise<void> {
	const options = 'Dir="$root/" Dir::State::status="$root/var/lib/dpkg/status" APT::Sandbox::User=root';
	const { code, stderr } = await scratch.bash(`root='${scratch.root}'
		mkdir -p "$root"/var/lib/{apt/lists,dpkg} "$root/var/cache/apt"; : >"$root/var/lib/dpkg/status"
		apt-get -o ${options.replaceAll(" ", " -o ")} -qq update >/dev/null`);
	t.is(code, 0, stderr);
}

test(`an archive of others with Debian's name in its address is not taken for a mirror of Debian's${why}`, async (t) => {
	const { scratch, mirror } = await host(t);
	const others = await archive.mirror(t);
	await others.sign(new Date(), "Others");
	const address = mirror.url.replace("://", "://me:password@");
	const deb822 = (of: string) =>
		`Types: deb\nURIs: ${of}\nSuites: bookworm\nComponents: main\nSigned-By: ${scratch.root}/${keyring}\n`;
	await scratch.bash(`rm '${scratch.root}/etc/apt/sources.list'`);
	scratch.write("etc/apt/sources.list.d/others.sources", deb822(others.url));
	scratch.write("etc/apt/sources.list.d/the-host.sources", deb822(address));
	scratch.write(
		"etc/apt/sources.list.d/zz.list",
		`deb [signed-by=${scratch.root}/${keyring}] ${others.url} bookworm main\n`,
	);
	await readLists(t, scratch);
	others.server.asked.length = 0;
	await had(t, scratch, dsc);
	t.deepEqual(others.server.asked, []);
	t.regex(
		scratch.read("var/cache/tracelab/apt-sources/bookworm/sources.list"),
		new RegExp(` ${address} bookworm main\n`),
	);
});

type Facts = Readonly<Record<string, string>>;

/** What comes from a mirror. */
interface Wanted {
	/** Gets it, with a pin; the output `got` says what came of it, the others are what to pin. */
	run: (scratch: ScratchHost, pin?: Facts, stalled?: number) => Promise<StepRun>;
	/** What `got` is where all is well. */
	sound: string;
	/** The file that is tampered with, as the mirror and the folder below the cache's call it. */
	file: string;
	folder: string;
	/** What its download is called. */
	downloading: string;
}

interface Program {
	step: string;
	lines: readonly string[];
	library: string;
	end: string;
	stalled: number;
}

function program({ step, lines, library, end, stalled }: Program): string {
	const head = [`stack=quick step=${step} generation=g prefix=/opt/tracelab/thing/0123456789abcdef`, ...lines];
	const text = [...head, scriptText(library), "trap on_exit EXIT", end].join("\n");
	return text.replace("\nstalled=60\n", `\nstalled=${stalled}\n`);
}

const map = (name: string, facts: Facts): string =>
	`declare -A ${name}=(${Object.entries(facts)
		.map(([key, value]) => `[${key}]='${value}'`)
		.join(" ")})`;

/** A source package, of which `got` is a file. */
function source(name: string, file: string, [path, sound]: readonly [string, string]): Wanted {
	const end = `rm -rf "$root/got"; source_fetch "$root/got"; output got "$(<"$root/got/${path}")"
		for fact in version sha256; do output $fact "$(<"$work/record/$fact")"; done; json_object "\${outputs[@]}"`;
	const asked = { step: "kernel-main-build", library: "lib/source", end };
	const given = map("source", { kind: "debian", package: name });
	return {
		run: (scratch, pin = {}, stalled = 60) =>
			scratch.bash(program({ ...asked, lines: [given, map("pin", pin)], stalled })),
		sound,
		file,
		folder: "sources/debian",
		downloading: `downloading the ${file.endsWith(".deb") ? "package" : "source package"} ${name}`,
	};
}

const dsc = source("hello", "hello_1.dsc", ["file", "upstream"]);
const orig = source("hello", "hello_1.tar.xz", ["file", "upstream"]);
const kernel = source("linux-source-9.9", "linux-source-9.9_9.9.1-1_all.deb", ["Makefile", "all:"]);
const image: Wanted = {
	run(scratch, pin = {}, stalled = 60) {
		const end = `lock apt-image-$suite; files=$(get_packages); output got "\${files//"$kept/"/}"
			output packages "$(<"$work/record/packages")"; json_object "\${outputs[@]}"`;
		const lines = ["suite=bookworm packages=(kmod)", map("pin", pin)];
		return scratch.bash(program({ step: "guest-image", library: "guest-image", lines, end, stalled }));
	},
	sound: "apt_2.0_all.deb\nbase_1%3a1-1_all.deb\nkmod_30-1_all.deb",
	file: "kmod_30-1_all.deb",
	folder: "apt-image/bookworm",
	downloading: "downloading the guest's packages",
};

const all = [
	["the .dsc of a source", dsc],
	["a file of a .dsc", orig],
	["a kernel's source", kernel],
	["a package of an image", image],
] as const;

/** The files of it that are kept. */
function kept(scratch: ScratchHost, { folder }: Wanted): string[] {
	const start = `var/cache/tracelab/${folder}/`;
	return Object.keys(scratch.tree()).flatMap((path) => (path.startsWith(start) ? [path.slice(start.length)] : []));
}

/** That it is had, whole; returns what to pin. */
async function had(t: ExecutionContext, scratch: ScratchHost, wanted: Wanted, pin?: Facts): Promise<Facts> {
	const { code, stderr, stdout } = await wanted.run(scratch, pin);
	t.is(code, 0, stderr);
	const { got, ...facts } = stdout;
	t.is(got, wanted.sound);
	return facts;
}

/** That the program failed so, with apt's words in the last lines of its log, and that it was said what to do. */
function failed(t: ExecutionContext, { code, stderr }: StepRun, what: string, words: string, todo: string): void {
	t.is(code, 1);
	const lines = stderr.split("\n").filter((line) => !line.endsWith(" of the guest's packages"));
	const [first = "", ...log] = lines;
	const last = log.pop();
	t.regex(first, /^tracelab: [a-z-]+: .* failed \(exit 100\); the last lines of \/.*:$/);
	t.is(first.replace(/^tracelab: [a-z-]+: (.*) failed .*/, "$1"), what);
	const told = log.map((line) =>
		line
			.replace(/^ {2}\| +/, "")
			.replaceAll(/127\.0\.0\.1[: ]\d+/g, "MIRROR")
			.replace(/BADSIG \w+/, "BADSIG KEY"),
	);
	t.true(told.includes(words), `${words}\n${stderr}`);
	t.is(last, `  what to do: ${todo}`);
}

const reading = "reading Debian's package lists for bookworm";
const carryOn = "mend what the log shows, then run up again: it carries on from what was built";
const unlike =
	"the mirror gave other bytes than Debian signed, and nothing of them is used: run up again later, or name another mirror in /etc/apt";

for (const [what, wanted] of all) {
	test(`${what} that is kept whole is not asked for again, pinned or not, and one that was changed is had anew${why}`, async (t) => {
		const { scratch, mirror } = await host(t);
		const { asked } = mirror.server;
		const pin = await had(t, scratch, wanted);
		t.true(asked.includes(`GET /debian/pool/${wanted.file}`));
		const path = `var/cache/tracelab/${wanted.folder}/${wanted.file}`;
		for (const pinned of [undefined, pin]) {
			asked.length = 0;
			t.deepEqual(await had(t, scratch, wanted, pinned), pin);
			t.deepEqual(asked, []);
			scratch.write(path, altered(scratch.bytes(path)));
			t.deepEqual(await had(t, scratch, wanted, pinned), pin);
			t.deepEqual(asked, [`GET /debian/pool/${wanted.file}`]);
			t.true(scratch.bytes(path).equals(mirror.pool(wanted.file)));
		}
	});

	test(`${what} that the mirror altered is refused, and nothing of it is kept${why}`, async (t) => {
		const { scratch, mirror } = await host(t);
		const restore = await mirror.edit(`pool/${wanted.file}`, altered);
		const words = `E: Failed to fetch http://MIRROR/debian/pool/${wanted.file}  Hash Sum mismatch`;
		failed(t, await wanted.run(scratch), wanted.downloading, words, unlike);
		t.false(kept(scratch, wanted).includes(wanted.file));
		restore();
		await had(t, scratch, wanted);
		t.deepEqual(
			kept(scratch, wanted).filter((name) => name.includes("FAILED")),
			[],
		);
	});
}

const inRelease = "dists/bookworm/InRelease";
const sources = "dists/bookworm/main/source/Sources";
const retold = (text: Buffer): string =>
	text.toString().replace("Suite: stable", "Suite: static").replace("hello", "jello");

for (const [what, file, change, words] of [
	[
		"that nobody signed",
		inRelease,
		(text: Buffer) =>
			text
				.toString()
				.replace(/^-----BEGIN PGP SIGNED[\s\S]*?\n\n/, "")
				.replace(/^-----BEGIN PGP[\s\S]*/m, ""),
		"E: The repository 'http://MIRROR/debian bookworm InRelease' is not signed.",
	],
	[
		"that was altered since it was signed",
		inRelease,
		retold,
		"E: The repository 'http://MIRROR/debian bookworm InRelease' is not signed.",
	],
	[
		"that is another than was signed",
		sources,
		retold,
		"E: Failed to fetch http://MIRROR/debian/dists/bookworm/main/source/Sources  Hash Sum mismatch",
	],
] as const) {
	test(`a list of packages ${what} is refused, and nothing of it is kept${why}`, async (t) => {
		const { scratch, mirror } = await host(t);
		const restore = await mirror.edit(file, change);
		failed(t, await dsc.run(scratch), reading, words, unlike);
		failed(t, await dsc.run(scratch), reading, words, unlike);
		t.false(mirror.server.asked.some((path) => path.startsWith("GET /debian/pool/")));
		restore();
		await had(t, scratch, dsc);
	});
}

test(`a list that was altered is refused where a sound one was read before${why}`, async (t) => {
	const { scratch, mirror } = await host(t);
	await had(t, scratch, dsc);
	await mirror.edit(inRelease, retold);
	await scratch.bash(`rm '${scratch.root}/${read}'`);
	const words = `E: Failed to fetch http://MIRROR/debian/${inRelease}  The following signatures were invalid: BADSIG KEY Mirror <mirror@localhost>`;
	failed(t, await dsc.run(scratch), reading, words, unlike);
	t.false(read in scratch.tree());
});

const read = "var/cache/tracelab/apt-sources/bookworm/read";
const lost = "Error reading from server. Remote end closed connection [IP: MIRROR]";
const silent = "Connection timed out [IP: MIRROR]";

for (const [what, kind, file, wanted, doing] of [
	["a list", "cut", inRelease, kernel, reading],
	["a list", "stalled", "dists/bookworm/main/binary-amd64/Packages", image, reading],
	["a file of a .dsc", "cut", `pool/${orig.file}`, orig, orig.downloading],
	["a kernel's source", "stalled", `pool/${kernel.file}`, kernel, kernel.downloading],
	["a package of an image", "cut", `pool/${image.file}`, image, image.downloading],
] as const) {
	test(`${what} that is ${kind} half-way is an error with apt's words, and had by the next run${why}`, async (t) => {
		const { scratch, mirror } = await host(t);
		mirror.server.fault = { kind, path: `/debian/${file}` };
		const words = `E: Failed to fetch http://MIRROR/debian/${file}  ${kind === "cut" ? lost : silent}`;
		failed(t, await wanted.run(scratch, {}, kind === "cut" ? 60 : 5), doing, words, carryOn);
		mirror.server.fault = undefined;
		await had(t, scratch, wanted);
	});
}

test(`a list of a time to come is an error that says the clock is wrong${why}`, async (t) => {
	const { scratch, mirror } = await host(t);
	await mirror.sign(new Date(Date.now() + 86_400_000));
	const { code, stderr } = await kernel.run(scratch);
	t.is(code, 1);
	t.regex(
		stderr,
		/\n {2}\| E: Release file for .* is not valid yet .*\n {2}what to do: this host's clock is wrong, by which it is \d{4}-\d\d-\d\d \d\d:\d\d UTC: set it \(timedatectl, or date --set\), then run up again$/,
	);
	await mirror.sign(new Date());
	await had(t, scratch, kernel);
});

test(`lists are read again once they are an hour old, or of a time to come${why}`, async (t) => {
	const { scratch, mirror } = await host(t);
	await had(t, scratch, kernel);
	for (const [time, again] of [
		["-59 minutes", false],
		["-61 minutes", true],
		["+1 day", true],
	] as const) {
		mirror.server.asked.length = 0;
		await scratch.bash(`touch -d '${time}' '${scratch.root}/${read}'`);
		await had(t, scratch, kernel);
		t.is(mirror.server.asked.includes(`GET /debian/${inRelease}`), again, time);
	}
});

test(`a package of an image that the mirror signed otherwise than the lock pins it is refused${why}`, async (t) => {
	const { scratch } = await host(t);
	const { packages = "" } = await had(t, scratch, image);
	fakeDebsnap(scratch);
	const other = "0".repeat(64);
	const { code, stderr } = await image.run(scratch, { packages: packages.replace(/(kmod 30-1 ).*/, `$1${other}`) });
	t.is(code, 1);
	t.is(
		stderr,
		[
			"guest-image: downloading 1 of the guest's packages",
			"guest-image: taking from Debian's archive of all versions, since its mirrors have moved on: kmod=30-1",
			"tracelab: guest-image: neither Debian's bookworm nor Debian's archive of all versions has kmod=30-1 with the sha256 that the lock pins",
			`  what to do: see the end of ${scratch.root}/var/log/tracelab/quick/guest-image.log; if that archive was not reached, run up again, or else take what there is now: ./lab lock --update guest-image -s quick`,
		].join("\n"),
	);
});

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

test(`of an image's packages, the mirror's come from there, and what it dropped from Debian's archive${why}`, async (t) => {
	const { scratch } = await host(t);
	const { packages = "" } = await had(t, scratch, image);
	fakeDebsnap(scratch);
	await scratch.bash(`rm -r '${scratch.root}/var/cache/tracelab/apt-image'`);
	scratch.write("archive/base=1:0-9/base_0-9_all.deb", "older\n");
	scratch.write("archive/dropped=3/dropped_3_amd64.deb", "dropped\n");
	const older = packages.replace(/(?<=base ).*/, `1:0-9 ${sha256("older\n")}`);
	const run = await image.run(scratch, { packages: `${older}\ndropped 3 ${sha256("dropped\n")}` });
	t.is(run.code, 0, run.stderr);
	t.is(
		run.stderr,
		[
			"guest-image: downloading 2 of the guest's packages",
			"guest-image: taking from Debian's archive of all versions, since its mirrors have moved on: base=1:0-9, dropped=3",
		].join("\n"),
	);
	t.is(run.stdout["got"], "apt_2.0_all.deb\nbase_1%3a0-9_all.deb\nkmod_30-1_all.deb\ndropped_3_amd64.deb");
});

test(`a host's package that was changed in the cache is had anew before it is installed${why}`, async (t) => {
	const { scratch, mirror } = await host(t);
	const state = ["etc/sourcelist", "state/lists/partial/.keep", "state/status"].map((path) => scratch.write(path, ""));
	const [list = "", keep = "", status = ""] = state;
	scratch.write("etc/sourcelist", `deb [signed-by=${scratch.root}/${keyring}] ${mirror.url} bookworm main\n`);
	const dirs = {
		"Etc::sourcelist": list,
		"Etc::sourceparts": "-",
		"State::lists": join(keep, "../.."),
		"State::status": status,
	};
	const conf = scratch.write(
		"apt.conf",
		`${scratch.read("apt.conf")}APT::Sandbox::User "root";\n${Object.entries(dirs)
			.map(([name, path]) => `Dir::${name} "${path}";\n`)
			.join("")}`,
	);
	const apt = `APT_CONFIG=${conf} exec /usr/bin/apt-get "$@"`;
	scratch.fake(
		"apt-get",
		`case "$*" in *--no-download*) sha256sum "$root"/${archives}/kmod_* | cut -c 1-64 >"$root/installed" ;; *) ${apt} ;; esac`,
	);
	scratch.fake("dpkg-query", "");
	scratch.fake("dpkg", 'if [ "$1" != --audit ]; then exec /usr/bin/dpkg "$@"; fi');
	const inputs = { packages: ["kmod"] };
	const first = await scratch.step("host-packages", "apply", inputs);
	t.is(first.stderr, "host-packages: reading the package lists\nhost-packages: installing 1 packages");
	const sound = `${createHash("sha256").update(mirror.pool(image.file)).digest("hex")}\n`;
	t.is(scratch.read("installed"), sound);
	const cached = `${archives}/${image.file}`;
	for (const [change, had] of [
		[(bytes: Buffer) => bytes, []],
		[altered, [`GET /debian/pool/${image.file}`]],
	] as const) {
		mirror.server.asked.length = 0;
		scratch.write(cached, change(scratch.bytes(cached)));
		t.is((await scratch.step("host-packages", "apply", inputs)).stderr, "host-packages: installing 1 packages");
		t.is(scratch.read("installed"), sound);
		t.deepEqual(mirror.server.asked, had);
	}
});

const archives = "var/cache/tracelab/apt/archives";
