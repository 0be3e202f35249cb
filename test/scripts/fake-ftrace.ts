import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { ScratchHost } from "./run-step.ts";

/** What a guest recorded once. */
export const ftracePart = new URL("../cli/trace/ftrace-part/", import.meta.url).pathname;

/**
 * A tracefs in the guest, without LTTng's modules, or on the host: an instance that is made has what a guest recorded once.
 * Its commands are the guest's or the host's, `mkdir` and `rmdir`, by `fake`.
 */
export function fakeFtrace(
	scratch: Pick<ScratchHost, "root" | "write">,
	fake: (name: string, body: string) => void,
	where: "guest" | "host" = "guest",
): void {
	const tracefs = where === "guest" ? "guest/sys/kernel/tracing" : "sys/kernel/tracing";
	if (where === "guest") scratch.write("lttng/no-modules", "");
	const events = readFileSync(join(ftracePart, "events"), "utf8").replace(/^\S+ /gm, "");
	scratch.write(`${tracefs}/available_events`, events);
	for (const format of readFileSync(join(ftracePart, "formats"), "utf8").split(/^==> /m).slice(1)) {
		const [head = "", ...lines] = format.split("\n");
		scratch.write(`${tracefs}/${head.replace(/^.*\/events/, "events").replace(" <==", "")}`, lines.join("\n"));
	}
	scratch.write(`${tracefs}/instances/README`, "");
	const stats = readFileSync(join(ftracePart, "stats"), "utf8").split("\n");
	for (const cpu of ["cpu0", "cpu1"]) {
		const lines = stats.filter((line) => line.includes(cpu)).map((line) => line.replace(/^.*stats:/, ""));
		scratch.write(`ftrace/instance/per_cpu/${cpu}/stats`, `${lines.join("\n")}\n`);
		cpSync(join(ftracePart, cpu), join(scratch.root, `ftrace/instance/per_cpu/${cpu}/trace_pipe_raw`));
	}
	const instance = "*/tracing/instances/*";
	const made = `cp -r '${scratch.root}/ftrace/instance/.' "$1"`;
	fake("mkdir", `/bin/mkdir "$@" || exit\ncase $1 in ${instance}) ${made} ;; esac`);
	fake("rmdir", `case $1 in ${instance}) rm -r "$1" ;; *) /bin/rmdir "$@" ;; esac`);
}
