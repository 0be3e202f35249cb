import test from "ava";
import { ftraceMetadata, ftracePacket } from "../../spec/ftrace-ctf.ts";
import { ftraceEvents } from "../../spec/ftrace-format.ts";

const system = {
	hostname: "vm",
	release: "6.1.192",
	uuid: "99229184-f13a-4e0f-9044-5cbda307e8ec",
	offset: 1795708002n,
};

/** An event with such fields, each DECLARATION OFFSET SIZE SIGNED, behind those that all events have. */
function eventOf(...fields: readonly (readonly [declaration: string, offset: number, size: number, signed?: 1])[]) {
	const common = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n";
	const own = fields.map(
		([text, offset, size, signed = 0]) => `\tfield:${text};\toffset:${offset};\tsize:${size};\tsigned:${signed};\n`,
	);
	const head = "==> /sys/kernel/tracing/events/irq/softirq_entry/format <==\nname: softirq_entry\nID: 7\nformat:\n";
	return ftraceEvents(`${head}${common}\n${own.join("")}\nprint fmt: "x"\n`, "irq_softirq_entry irq:softirq_entry\n");
}

const field = test.macro({
	title: (_, declaration: string) => `a field \`${declaration}\` has its type`,
	exec(t, declaration: string, size: number, signed: 0 | 1, type: string) {
		const metadata = ftraceMetadata(eventOf(signed ? [declaration, 8, size, 1] : [declaration, 8, size]), system);
		t.is(/fields := struct \{\n\t\t(.*)\n\t\};/.exec(metadata)?.[1], type);
	},
});

const integer = (bits: number, signed: boolean, base = 10) =>
	`integer { size = ${bits}; align = 8; signed = ${signed}; base = ${base}; }`;

test(field, "unsigned int nr_sector", 4, 0, `${integer(32, false)} _nr_sector;`);
test(field, "pid_t prev_pid", 4, 1, `${integer(32, true)} _prev_pid;`);
test(field, "const void * call_site", 8, 0, `${integer(64, false, 16)} _call_site;`);
test(field, "char comm[16]", 16, 0, "string _comm;");
test(field, "unsigned long args[6]", 48, 0, `${integer(64, false)} _args[6];`);
test(field, "__u8 saddr[sizeof(struct sockaddr_in6)]", 28, 0, `${integer(8, false, 16)} _saddr[28];`);
test(field, "struct in6_addr addr", 16, 0, `${integer(8, false, 16)} _addr[16];`);
test(field, "__data_loc char[] name", 4, 0, "string _name;");
test(field, "__rel_loc const char[] name", 4, 0, "string _name;");
for (const [type, bits] of [
	...([
		["u16", 16],
		["__u64", 64],
		["uint32_t", 32],
		["unsigned long", 64],
		["int", 32],
	] as const),
	...([
		["short", 16],
		["unsigned char", 8],
		["cpumask_t", 8],
	] as const),
] as const)
	test(
		field,
		`__data_loc ${type}[] list`,
		4,
		0,
		`${integer(32, false)} __list_length; ${integer(bits, false)} _list[__list_length];`,
	);

test("events have LTTng's names, and the clock of the guest", (t) => {
	const metadata = ftraceMetadata(eventOf(["unsigned int vec", 8, 4]), system);
	t.regex(metadata, /^event \{\n\tname = "irq_softirq_entry";\n\tid = 7;\n\tstream_id = 0;$/m);
	t.regex(metadata, /^clock \{\n\tname = "monotonic";\n\tuuid = "99229184-f13a-4e0f-9044-5cbda307e8ec";$/m);
	t.regex(metadata, /^\tfreq = 1000000000;\n\toffset = 1795708002;$/m);
	t.regex(metadata, /^\thostname = "vm";\n\tdomain = "kernel";\n\tsysname = "Linux";\n\tkernel_release = "6.1.192";$/m);
});

const event = eventOf(["__data_loc char[] name", 8, 4], ["__rel_loc u16[] list", 12, 4]);
const byId = new Map(event.map((one) => [one.id, one]));

function record(...[name, list]: readonly [at: number, length: number][]): Buffer {
	const data = Buffer.alloc(28);
	data.writeUInt16LE(7, 0);
	data.writeInt32LE(-5, 4);
	for (const [index, [at, length]] of [name ?? [0, 0], list ?? [0, 0]].entries())
		data.writeUInt32LE(((length << 16) | at) >>> 0, 8 + index * 4);
	data.write("ab\0", 16, "latin1");
	data.writeUInt16LE(258, 20);
	data.writeUInt16LE(772, 22);
	return data;
}

test("fields whose size differs are found where their records say", (t) => {
	const data = record([16, 3], [4, 4]);
	const packet = ftracePacket(byId, [{ time: 3n, data }], 1, 9);
	t.is(packet?.length, 52 + 14 + 3 + 8);
	t.is(packet?.subarray(52).toString("hex"), "07000300000000000000fbffffff6162000200000002010403");
});

test("a record that is not as its format has it is an error, and one of an event that was not asked for is left out", (t) => {
	t.throws(() => ftracePacket(byId, [{ time: 3n, data: record([26, 3], [4, 4]) }], 1, 0), {
		instanceOf: RangeError,
		message: "field name is 3 bytes at 26, and its record has 28",
	});
	const other = record([16, 3], [4, 4]);
	other.writeUInt16LE(8, 0);
	t.is(ftracePacket(byId, [{ time: 3n, data: other }], 1, 0), undefined);
});
