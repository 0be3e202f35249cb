import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import test from "ava";
import { asRoot, why } from "../../as-root.ts";
import { card, type ScratchLab } from "../scratch-lab.ts";
import { building, hash, there } from "./scratch-builds.ts";

const rows = (stdout: string) => stdout.split("\n").map((line) => line.replaceAll(/ +/g, " ").trim());

asRoot(`a dry run shows what would go, what stays, and why, and removes nothing${why}`, async (t) => {
	const builds = await there(t);
	const { lab } = builds;
	lab.up();
	builds.build("used", `kernel/${hash("a")}`, 40, ["release"]);
	lab.write(`var/lib/tracelab/builds/kernel/${hash("a")}/quickstart`, "");
	builds.build("cached", `kernel/${hash("b")}`, 15, ["release"]);
	builds.build("cached", `module/${hash("c")}`, 13, ["b.ko", "a.ko", "source/a.c"]);
	builds.build("work", `qemu/${hash("d")}`, 0);
	lab.write("var/cache/tracelab/builds/kernel/not-a-build/file", "");
	const before = lab.tree();
	const { code, stdout, stderr } = await lab.lab(["gc", "--dry-run"]);
	t.is(stderr, "lab: nothing was removed: this was a dry run");
	t.is(code, 0);
	t.deepEqual(rows(stdout), [
		"to go: 2.0 MB",
		`kernel/${hash("b")} x 1.0 MB used 15 d ago`,
		`qemu/${hash("d")} 1.0 MB what a kill left of it`,
		"kept: 2.0 MB",
		`kernel/${hash("a")} x 1.0 MB lab quickstart`,
		`module/${hash("c")} a.ko and 1 more 1.0 MB used 13 d ago`,
	]);
	t.deepEqual(lab.tree(), before);
});

asRoot(`what is meant goes, with what a kill left, and nothing else${why}`, async (t) => {
	const builds = await there(t);
	const { lab } = builds;
	builds.build("used", `kernel/${hash("a")}`, 40);
	lab.write(`var/lib/tracelab/builds/kernel/${hash("a")}/quickstart`, "");
	builds.build("cached", `kernel/${hash("b")}`, 15);
	builds.build("cached", `module/${hash("c")}`, 13);
	builds.build("work", `qemu/${hash("d")}`, 0);
	// A lab whose state was lost.
	builds.build("used", `image/${hash("e")}`, 20);
	const { code, stdout, stderr } = await lab.lab(["gc", "--yes"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.is(rows(stdout).at(-1), "freed 3.0 MB");
	t.deepEqual(builds.left(), [`kernel/${hash("a")}`, `module/${hash("c")}`]);
	t.false(existsSync(`${lab.root}/opt/tracelab/image`));
	const again = await lab.lab(["gc"]);
	t.deepEqual({ code: again.code, stderr: again.stderr }, { code: 0, stderr: "" });
	t.is(rows(again.stdout)[0], "to go: nothing");
});

asRoot(`how long ago is the person's to say${why}`, async (t) => {
	const builds = await there(t);
	builds.build("cached", `kernel/${hash("a")}`, 0.5);
	builds.build("cached", `kernel/${hash("b")}`, 2);
	await builds.lab.lab(["gc", "-y", "--older-than", "36h"]);
	t.deepEqual(builds.left(), [`kernel/${hash("a")}`]);
	await builds.lab.lab(["gc", "-y", "--older-than", "0d"]);
	t.deepEqual(builds.left(), []);
});

asRoot(`a build that anything on this machine needs is kept, whatever its age${why}`, async (t) => {
	const builds = await there(t);
	const { lab } = builds;
	const id = (number: number) => `kernel/${number.toString(16).padStart(16, "0")}`;
	for (let number = 1; number <= 10; number++) builds.build(number < 5 ? "used" : "cached", id(number), 99);
	const path = (number: number) => `/opt/tracelab/${id(number)}`;
	lab.write(`var/lib/tracelab/builds/${id(1)}/mine`, "");
	lab.up({ ...card, kernels: { main: { prefix: path(2) } }, version: "another" }, "theirs");
	lab.write("etc/libvirt/qemu/own.xml", `<kernel>${path(3)}/bzImage</kernel>`);
	mkdirSync(`${lab.root}/proc/77`, { recursive: true });
	symlinkSync(`${path(4)}/bin/qemu`, `${lab.root}/proc/77/exe`);
	mkdirSync(`${lab.root}/proc/78`, { recursive: true });
	symlinkSync(`/var/cache/tracelab/builds/${id(10)}/bin/qemu`, `${lab.root}/proc/78/exe`);
	lab.write("var/lib/tracelab/runs/quickstart/one/recording.json", JSON.stringify({ kernel: path(5) }));
	// Disks: of a recording, of a pool, and, by way of another one, of somebody's own domain.
	const disk = (file: string, below: string) => {
		const bytes = Buffer.alloc(200);
		bytes.write("QFI\xfb", 0, "latin1");
		bytes.writeBigUInt64BE(64n, 8);
		bytes.writeUInt32BE(Buffer.byteLength(below), 16);
		bytes.write(below, 64);
		writeFileSync(lab.write(file, ""), bytes);
	};
	disk("var/lib/tracelab/runs/quickstart/one/disk.qcow2", `${path(6)}/image.qcow2`);
	disk("var/lib/tracelab/pools/mine/mine-vm.qcow2", `${path(7)}/image.qcow2`);
	disk("home/me/top.qcow2", "middle.qcow2");
	disk("home/me/middle.qcow2", `${path(8)}/image.qcow2`);
	lab.write("run/libvirt/qemu/other.xml", "<disk><source file='/home/me/top.qcow2' index='1'/></disk>");
	const { code, stdout, stderr } = await lab.lab(["gc", "--yes", "--older-than", "0d"]);
	t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
	t.deepEqual(
		rows(stdout).filter((row) => row.startsWith("kernel/")),
		[
			`${id(9)} 1.0 MB used 99 d ago`,
			`${id(1)} 1.0 MB lab mine`,
			`${id(2)} 1.0 MB lab theirs`,
			`${id(3)} 1.0 MB domain own`,
			`${id(4)} 1.0 MB process 77`,
			`${id(5)} 1.0 MB recording one of quickstart`,
			`${id(6)} 1.0 MB recording one of quickstart`,
			`${id(7)} 1.0 MB disk ${lab.root}/var/lib/tracelab/pools/mine/mine-vm.qcow2`,
			`${id(8)} 1.0 MB domain other`,
			`${id(10)} 1.0 MB process 78`,
		],
	);
	t.deepEqual(builds.left(), [1, 2, 3, 4, 5, 6, 7, 8, 10].map(id));
});

asRoot(`a build that is being made stays, and so does one that an up takes from the cache${why}`, async (t) => {
	const builds = await there(t);
	builds.build("work", `kernel/${hash("a")}`, 0);
	builds.build("cached", `kernel/${hash("b")}`, 99);
	for (const letter of ["a", "b"]) await building(t, builds.lab, `kernel/${hash(letter)}`);
	const { code, stdout } = await builds.lab.lab(["gc", "-y"]);
	t.is(code, 0);
	t.deepEqual(rows(stdout), [
		"to go: nothing",
		"kept: 2.0 MB",
		`kernel/${hash("a")} 1.0 MB it is being built, or taken from the cache`,
		`kernel/${hash("b")} 1.0 MB it is being built, or taken from the cache`,
	]);
	t.deepEqual(builds.left(), [`kernel/${hash("a")}.work`, `kernel/${hash("b")}`]);
});

const discard = (lab: ScratchLab, id: string) =>
	lab.bash(
		`cd '${process.cwd()}/scripts'; stack=none step=gc generation= prefix=/opt/tracelab/${id} last_use=$(date -d '1 hour ago' +%s) exec bash build-discard.sh </dev/null`,
	);

test.serial("a build that a lab takes while others are being removed stays", async (t) => {
	const builds = await there(t);
	const id = `kernel/${hash("a")}`;
	builds.build("used", id, 99);
	builds.lab.write(`var/lib/tracelab/builds/${id}/new`, "");
	t.is((await discard(builds.lab, id)).code, 75);
	t.deepEqual(builds.left(), [id]);
});

test.serial("a build that was pulled, or let go of, while the question waited stays", async (t) => {
	const builds = await there(t);
	const id = `kernel/${hash("a")}`;
	builds.build("cached", id, 0);
	t.is((await discard(builds.lab, id)).code, 75);
	t.deepEqual(builds.left(), [id]);
});

test.serial("a build that an up has begun to make, or another removes, is not waited for", async (t) => {
	const builds = await there(t);
	const id = `kernel/${hash("a")}`;
	builds.build("cached", id, 99);
	await building(t, builds.lab, id);
	t.is((await discard(builds.lab, id)).code, 75);
	t.deepEqual(builds.left(), [id]);
});

test.serial("a removal that is killed leaves nothing that looks whole", async (t) => {
	const builds = await there(t);
	const id = `kernel/${hash("a")}`;
	builds.build("cached", id, 99, ["vmlinux"]);
	builds.lab.fake("rm", 'case $* in *tracelab-build) exec /bin/rm "$@" ;; *) kill -9 $PPID ;; esac');
	t.is((await discard(builds.lab, id)).code, undefined);
	t.deepEqual(
		Object.keys(builds.lab.tree()).filter((path) => path.includes(id)),
		[`var/cache/tracelab/builds/${id}`, `var/cache/tracelab/builds/${id}/vmlinux`],
	);
});

asRoot(`two at once remove each build once, and both end well${why}`, async (t) => {
	const builds = await there(t);
	for (let number = 0; number < 16; number++)
		builds.build("cached", `module/${number.toString(16).padStart(16, "0")}`, 99, ["a.ko"]);
	const both = await Promise.all([builds.lab.lab(["gc", "-y"]), builds.lab.lab(["gc", "-y"])]);
	t.deepEqual(
		both.map(({ code }) => code),
		[0, 0],
		both.map(({ stderr }) => stderr).join("\n"),
	);
	t.deepEqual(builds.left(), []);
});

asRoot(`it asks first, and where nobody can answer, names the command that does not${why}`, async (t) => {
	const builds = await there(t);
	builds.build("cached", `kernel/${hash("a")}`, 99);
	const { code, stderr } = await builds.lab.lab(["gc", "--older-than", "20d"]);
	t.is(code, 2);
	t.is(
		stderr,
		"lab: gc asks first, and nobody can answer here\n  what to do: say it is meant: ./lab gc --older-than 20d -y",
	);
	t.deepEqual(builds.left(), [`kernel/${hash("a")}`]);
});
