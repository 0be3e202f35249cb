import test from "ava";
import { requestKind } from "../../spec/rwbs.ts";

test("a request is of one kind, by LTTng's bits and by the kernel's letters", (t) => {
	t.deepEqual(
		[1, 36, 2, 257, 1024, 0, undefined].map((rwbs) => requestKind(rwbs)),
		["write", "read", "discard", "write", "flush", undefined, undefined],
	);
	t.deepEqual(
		["WS", "RAM", "DE", "FWFS", "FF", "N", ""].map((rwbs) => requestKind(rwbs)),
		["write", "read", "discard", "write", "flush", undefined, undefined],
	);
});
