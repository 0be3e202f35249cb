import test from "ava";
import { fitClock } from "../../spec/clock-fit.ts";
import { type ClockRecord, clockRecordSchema, fitRecord, granuleOf } from "../../spec/clock-record.ts";

const fit = fitClock([{ guest: [1_000n, 3_000n], host: [9_007_199_254_740_993n, 9_007_199_254_740_993n] }]);
const record: ClockRecord = {
	clocksource: "tsc",
	guests: {
		vm: { method: "in-band beacon", clocksource: "hpet", ...fitRecord(fit), unmatched: { guest: 0, host: 2 } },
	},
	traces: [
		{ trace: "qemu/ust", offset: "1795590544774881908", system: "1795590544774881913", difference: -5 },
		{ trace: "guest/vm/kernel", offset: "1795605648000000745" },
	],
};

test("a record comes through JSON as it was, with every nanosecond", (t) => {
	const read = clockRecordSchema.parse(JSON.parse(JSON.stringify(record)));
	t.deepEqual(read, record);
	t.is(read.guests["vm"]?.reference.host, "9007199254740993");
});

const refuses = test.macro({
	title: (_, what: string) => `a record is refused: ${what}`,
	exec(t, _what: string, changed: unknown, where: string) {
		t.deepEqual(
			clockRecordSchema.safeParse(changed).error?.issues.map(({ path }) => path.join(".")),
			[where],
		);
	},
});

const withGuest = (change: object) => ({ ...record, guests: { vm: { ...record.guests["vm"], ...change } } });

test(refuses, "no object", 5, "");
test(refuses, "a method that there is not", withGuest({ method: "NTP" }), "guests.vm.method");
test(refuses, "no pieces", withGuest({ pieces: [] }), "guests.vm.pieces");
test(refuses, "a time as a number", withGuest({ reference: { guest: "1", host: 2 } }), "guests.vm.reference.host");

test("the steps of a clock are its clocksource's", (t) => {
	const names = ["hpet", "acpi_pm", "tsc", "kvm-clock", "hyperv_clocksource_tsc_page"];
	t.deepEqual(names.map(granuleOf), [10, 280, 1, 1, 100]);
});

test("where a clocksource is not known, its steps are as coarse as any but those of jiffies", (t) => {
	t.deepEqual([undefined, "", "another"].map(granuleOf), [280, 280, 280]);
});
