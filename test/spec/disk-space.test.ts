import test from "ava";
import { checkDiskSpace, DiskSpaceError } from "../../spec/disk-space.ts";

const builds = {
	"qemu main": "/opt/tracelab/qemu/aaaa",
	"kernel main": "/opt/tracelab/kernel/bbbb",
	"kernel other": "/opt/tracelab/kernel/cccc",
};

const host = (opt: number, buildBytes: Record<string, number> = {}, there: string[] = [], cache = opt) => ({
	free: { opt, cache },
	builds: there,
	buildBytes,
});

const known = { "qemu/last": 1e9, "kernel/bbbb": 2e9, "kernel/last": 3e9 };
const room = "make room (./lab gc --dry-run shows what nobody uses)";
const names = "kernel main, kernel other, qemu main";

const says = test.macro({
	title: (title = "") => title,
	exec: (t, on: ReturnType<typeof host>, said: string | undefined) => t.is(checkDiskSpace(builds, on), said),
});

test("builds that fit are nothing to say", says, host(6e9, known), undefined);
test("a first up that fits, as well", says, host(12e9), undefined);
test("builds that are there need no room", says, host(0, {}, ["qemu/aaaa", "kernel/bbbb", "kernel/cccc"]), undefined);
test(
	"a build takes what it took, or what the last of its kind took",
	says,
	host(5.9e9, known),
	`to build ${names} takes about 6.0 GB, and /opt and /var/cache have 5.9 GB free: ${room}, or it may fail half-way`,
);
test(
	"only what is missing counts",
	says,
	host(2.5e9, known, ["qemu/aaaa", "kernel/bbbb"]),
	`to build kernel other takes about 3.0 GB, and /opt and /var/cache have 2.5 GB free: ${room}, or it may fail half-way`,
);
test(
	"where nobody knows what one takes, it is a first up",
	says,
	host(11.9e9, { "kernel/last": 3e9 }),
	`to build ${names} takes about 12.0 GB, and /opt and /var/cache have 11.9 GB free: ${room}, or it may fail half-way`,
);
test(
	"caches on a disk of their own may be what is full",
	says,
	host(100e9, known, [], 1e9),
	`to build ${names} takes about 6.0 GB, and /opt and /var/cache have 1.0 GB free: ${room}, or it may fail half-way`,
);
test("two names of one build are one", (t) => {
	t.is(
		checkDiskSpace(
			{ "kernel a": "/opt/tracelab/kernel/bbbb", "kernel b": "/opt/tracelab/kernel/bbbb" },
			host(2e9, known),
		),
		undefined,
	);
});

const refuses = test.macro({
	title: (title = "") => title,
	exec(t, on: ReturnType<typeof host>, least: string, free: string) {
		t.throws(() => checkDiskSpace(builds, on), {
			instanceOf: DiskSpaceError,
			message: `${names} cannot be built: that takes ${least} GB at least, and /opt has ${free} GB free\n  what to do: ${room}, then run up again`,
		});
	},
});

test("no room for what these very builds took is an error", refuses, host(2e9, known), "2.1", "2.0");
test("no room for the smallest of a kind is an error", refuses, host(0.2e9), "0.2", "0.2");
