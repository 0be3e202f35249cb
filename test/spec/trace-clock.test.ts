import test from "ava";
import { traceClock } from "../../spec/trace-clock.ts";

const metadata = (clock: string) => `/* CTF 1.8 */

typealias integer { size = 8; align = 8; signed = false; } := uint8_t;

env {
	hostname = "vm";
};

clock {
${clock}
};

typealias integer {
	size = 27; align = 1; signed = false;
	map = clock.monotonic.value;
} := uint27_clock_monotonic_t;
`;

const lttng = `	name = "monotonic";
	uuid = "73a9ebdb-ccef-4e0d-8191-2d7ce3aa7223";
	description = "Monotonic Clock";
	freq = 1000000000; /* Frequency, in Hz */
	/* clock value offset from Epoch is: offset * (1/freq) */
	offset = 1795590544774881908;`;

test("the clock of LTTng's metadata", (t) => {
	t.deepEqual(traceClock(metadata(lttng)), {
		name: "monotonic",
		uuid: "73a9ebdb-ccef-4e0d-8191-2d7ce3aa7223",
		offset: 1795590544774881908n,
	});
});

test("an offset in seconds and cycles", (t) => {
	const clock = traceClock(
		metadata("\tname = c;\n\tfreq = 1000000000;\n\toffset_s = 1795590544;\n\toffset = 774881908;"),
	);
	t.is(clock?.offset, 1795590544774881908n);
});

test("a clock that counts no nanoseconds is none, and so is no clock", (t) => {
	t.is(traceClock(metadata(lttng.replace("1000000000", "2441255000"))), undefined);
	t.is(traceClock("trace {\n\tmajor = 1;\n};\n"), undefined);
});
