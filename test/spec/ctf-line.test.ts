import test from "ava";
import fc from "fast-check";
import { CtfLine, type Fields } from "../../spec/ctf-line.ts";

const beacon =
	'[00000015342546772605] ust qemu:memory_region_ops_write: { cpu_id = 1 }, { cpu_index = 0, mr = 0x558CA9D92400, addr = 0xA20, value = 0x5A, size = 1, name = "io" }';

test("an event of QEMU's", (t) => {
	const line = new CtfLine(beacon);
	t.is(line.cycles, 15342546772605n);
	t.is(line.name, "qemu:memory_region_ops_write");
	t.is(line.cpu, 1);
	t.is(line.pid, -1);
	t.deepEqual(line.fields, {
		...{ cpu_id: 1, cpu_index: 0, mr: 0x558ca9d92400, addr: 0xa20, value: 0x5a, size: 1, name: "io" },
	});
	t.true(line.text.startsWith("{ cpu_id = 1 }, { cpu_index = 0,"));
});

test("an event with the context of its process", (t) => {
	const line = new CtfLine(
		'[00000016155041828938] ust qemu:virtio_notify: { cpu_id = 0 }, { vpid = 3546, vtid = 3547, procname = "clk-vm" }, { vdev = 0x558CAA98DEB0, vq = 0x7F95A0330270 }',
	);
	t.is(line.pid, 3546);
	t.is(line.fields["procname"], "clk-vm");
});

test("an event without a domain, a processor, or fields", (t) => {
	const line = new CtfLine("[7] mine: { }");
	t.deepEqual([line.cycles, line.name, line.cpu, line.pid, line.fields], [7n, "mine", -1, -1, {}]);
});

const reads = test.macro({
	title: (_, what: string) => `fields: ${what}`,
	exec(t, _what: string, text: string, fields: Fields) {
		t.deepEqual(new CtfLine(`[1] kernel event: ${text}`).fields, fields);
	},
});

test(reads, "numbers", "{ a = -5, b = 0x10, c = 1.5, d = 0777 }", { a: -5, b: 16, c: 1.5, d: 777 });
test(
	reads,
	"what a double cannot hold",
	"{ a = 18446744073709551615, b = -9223372036854775808, c = 0xFFFFFFFFFFFFFFFF }",
	{
		a: 18446744073709551615n,
		b: -9223372036854775808n,
		c: 0xffffffffffffffffn,
	},
);
test(reads, "text", '{ a = "x, y = { 3 }", b = "say \\"hi\\"\\\\n", c = "one\\ntwo\\x1b", d = "" }', {
	...{ a: "x, y = { 3 }", b: 'say "hi"\\n', c: "one\ntwo\x1b", d: "" },
});
test(reads, "lists", "{ a = [ [0] = 1, [1] = 2 ], b = [ ], c = [ [0] = { d = 1 } ] }", {
	...{ a: [1, 2], b: [], c: [{ d: 1 }] },
});
test(
	reads,
	"enumerations",
	'{ a = ( "RUNNING" : container = 0 ), b = ( <unknown> : container = 128 ), c = ( { "A", "B" } : container = 3 ) }',
	{
		...{ a: "RUNNING", b: 128, c: 3 },
	},
);
test(reads, "structures", "{ a = { b = { c = 1 }, d = 2 } }, { e = 3 }", { a: { b: { c: 1 }, d: 2 }, e: 3 });
test(reads, "the payload's goes before the context's", "{ pid = 1 }, { pid = 2 }", { pid: 2 });

test("text of every kind comes back as it was", (t) => {
	const shown = (text: string) =>
		text.replace(/[\\"]/g, "\\$&").replace(/[\n\t\r]/g, (char) => ({ "\n": "\\n", "\t": "\\t" })[char] ?? "\\r");
	fc.assert(
		fc.property(fc.string({ unit: "grapheme" }), fc.string(), (one, two) => {
			const { fields } = new CtfLine(`[1] ust x: { a = "${shown(one)}", b = "${shown(two)}" }`);
			return fields["a"] === one && fields["b"] === two;
		}),
	);
	t.pass();
});

test("a line that is no event is an error that shows it", (t) => {
	for (const line of ["", "WARNING: Tracer discarded 5 events", "[12] cut", "x: { a = 1 }"]) {
		t.throws(() => new CtfLine(line), { name: "SyntaxError", message: `no event of babeltrace2's: ${line}` });
	}
	t.throws(() => new CtfLine("[1] ust x: { a = 1, b = ? }").fields, {
		message: /fields are not as expected at 24: \[1\]/,
	});
	t.throws(() => new CtfLine("[1] ust x: { a = 1").fields, { name: "SyntaxError" });
});
