import { availableParallelism } from "node:os";
import type { ExecutionContext } from "ava";
import { project } from "../../../cli/host.ts";
import { asRoot, why } from "../../as-root.ts";
import { ScratchLab } from "../scratch-lab.ts";

/** A scratch host on which builds, and a step that is none, say how they were asked and `differing` of their two files. */
async function there(t: ExecutionContext, builds: Readonly<Record<string, string>>): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	const step = (name: string, text: string) =>
		lab.write(`var/lib/tracelab/undo/quickstart/${name}`, `# from ${project}\n${text}\n`);
	step("host-packages", 'remove() { :; }\necho "removed" >&2; exit 9');
	for (const [name, differing] of Object.entries(builds)) {
		const asked = `echo "$1 as $USER, who is $(/usr/bin/id -un), on $(</proc/sys/kernel/hostname) in $TZ with $(nproc) jobs" >&2`;
		step(name, `rebuild() { ${asked}; printf '{"files":"2","differing":"${differing}"}'; }\nrebuild "$@"`);
	}
	return lab;
}

const asked = `rebuild as somebody, who is somebody, on elsewhere in Pacific/Kiritimati with ${availableParallelism() + 1} jobs`;
const words = (text: string) => text.replaceAll(/[\d.]+ s$/gm, "N s").replaceAll(/ +/g, " ");

asRoot(`each build is made again elsewhere, and where all are the same the exit status is 0${why}`, async (t) => {
	const lab = await there(t, { "kernel-main-build": "", "probe-count-vm": "" });
	const { code, stdout, stderr } = await lab.lab(["rebuild", "--check"]);
	t.is(stderr, `${asked}\n${asked}`);
	t.is(
		words(stdout),
		[" BUILD FILES THAT DIFFER BUILT AGAIN IN", "same kernel-main 0 of 2 N s", "same probe-count-vm 0 of 2 N s"].join(
			"\n",
		),
	);
	t.is(code, 0);
});

asRoot(
	`files that differ are named, ten of a build at most, with what diffoscope says, and the exit status is 1${why}`,
	async (t) => {
		const many = Array.from({ length: 12 }, (_, index) => `file${index}`);
		const lab = await there(t, {
			"image-main-build": 'image.qcow2","difference":"offset 512',
			"kernel-main-build": `${many.join("\\\\n")}","tools":"was made with gcc-12 1, and now with gcc-12 2`,
			"qemu-main-build": "",
		});
		const { code, stdout } = await lab.lab(["rebuild", "--check", "image-main", "kernel-main"]);
		t.is(
			words(stdout),
			[
				" BUILD FILES THAT DIFFER BUILT AGAIN IN",
				"DIFFERS image-main 1 of 2 N s",
				"DIFFERS kernel-main 12 of 2 N s",
				"",
				"image-main: see ./lab logs image-main-build",
				" image.qcow2",
				"offset 512",
				"kernel-main: see ./lab logs kernel-main-build",
				...many.slice(0, 10).map((name) => ` ${name}`),
				" and 2 more",
				" it was made with gcc-12 1, and now with gcc-12 2",
			].join("\n"),
		);
		t.is(code, 1);
	},
);

asRoot(`a build that cannot be made again is an error after its own words${why}`, async (t) => {
	const lab = await there(t, {});
	lab.write(
		"var/lib/tracelab/undo/quickstart/kernel-main-build",
		`# from ${project}\nrebuild() { echo "no compiler" >&2; exit 1; }\nrebuild`,
	);
	t.deepEqual(await lab.lab(["rebuild", "--check"]), {
		code: 1,
		stdout: "",
		stderr: "no compiler\nlab: kernel-main-build could not be made a second time\n  what to do: what it said is above",
	});
});

asRoot(`a name that is no build of the lab is an error that names those there are${why}`, async (t) => {
	const lab = await there(t, { "kernel-main-build": "", "image-main-build": "" });
	const { code, stderr } = await lab.lab(["rebuild", "--check", "kernel-mian"]);
	t.is(code, 2);
	t.is(
		stderr,
		'lab: stack "quickstart" has no build "kernel-mian" (did you mean "kernel-main"?)\n  what to do: its builds are: image-main, kernel-main',
	);
});

asRoot(`a lab that was never brought up has no builds${why}`, async (t) => {
	const lab = await ScratchLab.for(t);
	const { code, stderr } = await lab.lab(["rebuild", "--check"]);
	t.deepEqual([code, stderr], [1, 'lab: stack "quickstart" has no builds\n  what to do: bring it up: ./lab up']);
});
