import test, { type ExecutionContext } from "ava";
import { changeLines } from "../../../cli/lab/change-lines.ts";
import type { Change } from "../../../cli/lab/changes.ts";
import { patient, ScratchLab } from "../scratch-lab.ts";
import { command } from "./event-log.ts";

const lab = await ScratchLab.make();
lab.enter();
test.beforeEach(patient);
test.after.always(() => lab.clean());

const hash = (letter: string) => letter.repeat(16);
const kernel = (letter: string) => `/opt/tracelab/kernel/${hash(letter)}`;

// Builds: a is up, c is in the cache, o is up for another lab; all others are nowhere. Of a it is known how long it took.
lab.write(`${kernel("a")}/.tracelab-build`, "");
lab.write(`${kernel("o")}/.tracelab-build`, "");
lab.write(`var/cache/tracelab/builds/kernel/${hash("c")}/.tracelab-build`, "");
lab.write(`var/cache/tracelab/durations/kernel/${hash("a")}.built`, "1324\n");
lab.write("var/cache/tracelab/durations/kernel/last.built", "483\n");
lab.write("var/cache/tracelab/durations/boot/quickstart-vm", "12\n");

const change = (name: string, what: Change["what"], more: Partial<Change> = {}): Change => ({
	name,
	type: command,
	what,
	drift: "",
	...more,
});
const build = (what: Change["what"], prefix: string, more: Partial<Change> = {}) =>
	change("kernel-main-build", what, { prefix, ...more });
const domain = (what: Change["what"]) => change("domain-vm-domain", what, { type: "libvirt:index/domain:Domain" });
const disk = (what: Change["what"]) => change("domain-vm-disk", what, { type: "libvirt:index/volume:Volume" });

function says(t: ExecutionContext, changes: readonly Change[], ...lines: readonly string[]): void {
	t.deepEqual(
		changeLines("quickstart", changes),
		lines.length === 0 ? [] : ["what up would do:", ...lines.map((line) => `  ${line}`)],
	);
}

const one = test.macro({
	title: (title = "") => title,
	exec: (t, changes: readonly Change[], ...lines: readonly string[]) => says(t, changes, ...lines),
});

test("nothing to do is said by nothing", one, []);

test(
	"a kernel of another configuration is built again, which took so long the last time",
	one,
	[build("replace", kernel("b"), { previous: kernel("a") })],
	"kernel-main-build: builds kernel main again (22 min 04 s last time)",
);
test(
	"a first kernel of its name is built, for which the last one of its kind is a guess",
	one,
	[build("create", kernel("b"))],
	"kernel-main-build: builds kernel main (the last kernel took 8 min 03 s)",
);
test(
	"a kernel of which nobody kept how long it took, as well",
	one,
	[build("replace", kernel("b"), { previous: kernel("e") })],
	"kernel-main-build: builds kernel main again (the last kernel took 8 min 03 s)",
);
test(
	"of what was never built nobody knows how long it takes",
	one,
	[change("image-main-build", "create", { prefix: `/opt/tracelab/image/${hash("a")}` })],
	"image-main-build: builds image main",
);
test(
	"a build that the cache has is taken from there",
	one,
	[build("replace", kernel("c"), { previous: kernel("a") })],
	"kernel-main-build: takes kernel main from the cache",
);
test(
	"a build that another lab has is used",
	one,
	[build("create", kernel("o"))],
	"kernel-main-build: uses kernel main, which is there already",
);
test(
	"a build that was changed by hand is made again, although the cache has one",
	one,
	[build("update", kernel("a"), { previous: kernel("a"), drift: `${kernel("a")}/vmlinux is not as it was built` })],
	"kernel-main-build: builds kernel main again (22 min 04 s last time)",
);
test(
	"a build whose step is another, as in a newer tracelab, takes a moment",
	one,
	[build("update", kernel("a"), { previous: kernel("a") })],
	"in a moment: kernel-main-build",
);
test(
	"a build that is only to be held takes a moment",
	one,
	[
		build("update", kernel("a"), {
			previous: kernel("a"),
			drift: "the kernel is built, not yet used by stack quickstart",
		}),
	],
	"in a moment: kernel-main-build",
);
test(
	"a build that another lab made again is only taken over, in a moment",
	one,
	[
		build("update", kernel("a"), {
			previous: kernel("a"),
			drift:
				"the kernel is another build than at the last up of stack quickstart: its result is 1234567890ab, and was ba0987654321",
		}),
	],
	"in a moment: kernel-main-build",
);
test(
	"a build that no stack file names any more is let go",
	one,
	[change("kernel-main-build", "delete", { previous: kernel("a") })],
	"kernel-main-build: lets kernel main go: into the cache, where no other lab uses it",
);

test(
	"a new lab starts its domain, and what is a part of that is no line of its own",
	one,
	[
		change("host-packages", "create"),
		disk("create"),
		domain("create"),
		change("domain-vm-guest", "create"),
		change("domain-vm-module-load", "create"),
	],
	"host-packages: installs the Debian packages that are missing",
	"domain-vm-domain: starts vm (12 s last time)",
);
test(
	"a domain on another kernel restarts",
	one,
	[
		domain("replace"),
		change("domain-vm-guest", "replace"),
		change("domain-vm-module-load", "update"),
		change("domain-vm-share", "update"),
	],
	"domain-vm-domain: restarts vm (12 s last time)",
	"and in a moment: domain-vm-share",
);
test(
	"a domain that is defined anew, on another kernel, restarts as well",
	one,
	[domain("update"), change("domain-vm-guest", "update"), change("domain-vm-module-load", "update")],
	"domain-vm-domain: restarts vm (12 s last time)",
);
test(
	"a domain whose guest has nothing to see to goes on",
	one,
	[domain("update"), change("domain-vm-module-load", "update")],
	"domain-vm-module-load: loads the modules of vm; its guest goes on",
	"and in a moment: domain-vm-domain",
);
test(
	"a domain on another image loses what its guest had written",
	one,
	[disk("replace"), domain("replace")],
	"domain-vm-domain: restarts vm on a new disk, without what its guest had written (12 s last time)",
);
test(
	"a domain that goes, goes with its disk",
	one,
	[change("domain-vm-guest", "delete", { drift: "x" }), domain("delete"), disk("delete")],
	"domain-vm-domain: ends vm, and removes its disk",
);
test(
	"a guest that somebody stopped is mended",
	one,
	[change("domain-vm-guest", "update", { drift: "domain quickstart-vm is shut off" })],
	"domain-vm-guest: mends vm, and starts it again where that is what it takes (12 s last time)",
);
test(
	"an edited module is loaded in a guest that goes on",
	one,
	[change("domain-vm-module-load", "update"), change("quickstart-card", "update")],
	"domain-vm-module-load: loads the modules of vm; its guest goes on",
	"and in a moment: quickstart-card",
);
test(
	"of a guest that may start again it is not said that it goes on",
	one,
	[change("domain-vm-guest", "update", { drift: "x" }), change("domain-vm-module-load", "update")],
	"domain-vm-guest: mends vm, and starts it again where that is what it takes (12 s last time)",
	"domain-vm-module-load: loads the modules of vm",
);
test(
	"one domain's change says nothing of another's",
	one,
	[
		domain("replace"),
		change("domain-other-module-load", "update"),
		change("domain-other-guest", "update", { drift: "domain quickstart-other is shut off" }),
	],
	"domain-vm-domain: restarts vm (12 s last time)",
	"domain-other-module-load: loads the modules of other",
	"domain-other-guest: mends other, and starts it again where that is what it takes",
);
