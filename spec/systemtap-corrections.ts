/** A word of SystemTap's runtime that the kernel has given another meaning since. */
export interface RuntimeCorrection {
	/** File of the runtime, from its folder on. */
	readonly file: string;
	/** What stands there, as a whole word. */
	readonly word: string;
	/** What the kernel calls the same thing now. A runtime whose file has this already knows, and stays as it is. */
	readonly now: string;
	/** Header of the kernel, from its source's folder on: one that has `now` needs the correction. */
	readonly header: string;
	/** What the kernel did and when: the commit upstream, and the first version. */
	readonly why: string;
}

/**
 * What the SystemTap of a supported distribution does not know of kernels that are younger than itself. Whether a
 * correction is needed is looked up in the kernel and in the runtime, not concluded from their versions.
 */
export const systemtapCorrections: readonly RuntimeCorrection[] = [
	{
		file: "stp_task_work.c",
		word: "task_work_cancel",
		now: "task_work_cancel_func",
		header: "include/linux/task_work.h",
		why: "68cbd415dd4b (6.11; in 6.1 since 6.1.103) renamed it, and the next commit gave the old name to a function that takes a work and returns a bool",
	},
];

/** The corrections as scripts/lib/systemtap.sh reads them: a line each, without the why. */
export const correctionLines: string = systemtapCorrections
	.map(({ file, word, now, header }) => [file, word, now, header].join(" "))
	.join("\n");
