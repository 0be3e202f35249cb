import test from "ava";
import type { TraceEvent } from "../../report/event.ts";
import { sliceRules } from "../../report/slice-rules.ts";
import { Slices } from "../../report/slices.ts";
import type { Fields } from "../../spec/ctf-line.ts";
import { event } from "./synthetic-run.ts";

/** What each event opened, closed (`!` without an end of its own) or was, by the labels of the slices. */
function told(events: readonly TraceEvent[]): { each: string[]; open: string[]; slices: Slices } {
	const slices = new Slices();
	const each = events.map((one) => {
		const { opened, closed, alone } = slices.feed(one);
		return [
			...closed.map(({ slice, whole }) => `-${slice.rule.label(slice.begin)}${whole ? "" : "!"}`),
			...(opened === undefined ? [] : [`+${opened.rule.label(opened.begin)}`]),
			...(alone ? ["alone"] : []),
		].join(" ");
	});
	return { each, open: slices.end().map(({ rule, begin }) => rule.label(begin)), slices };
}

const rule = (title: string, layer: "guest" | "qemu") => {
	const found = sliceRules.find((each) => each.title === title && each.layers.includes(layer));
	if (found === undefined) throw new Error(`there is no rule ${title}`);
	return found;
};

const issue = (time: number, sector: number, dev = 1, cpu = 0) =>
	event(time, "guest", "block_rq_issue", { dev, sector, rwbs: 1 }, cpu);
const complete = (time: number, sector: number, dev = 1, cpu = 0) =>
	event(time, "guest", "block_rq_complete", { dev, sector, rwbs: 1 }, cpu);

test("a block request goes from issue to complete of its device and sector, over CPUs", (t) => {
	const { each, open, slices } = told([
		issue(0, 8),
		issue(1, 8, 2),
		issue(2, 16),
		complete(5, 16, 1, 1),
		complete(9, 8),
	]);
	t.deepEqual(each, ["+block write", "+block write", "+block write", "-block write", "-block write"]);
	t.deepEqual(open, ["block write"]);
	t.deepEqual(slices.count(rule("Block requests", "guest"), "guest vm"), { pairs: 2, beginsAlone: 1, endsAlone: 0 });
});

test("what ended before it began for the trace, and what began twice, is counted and stands alone", (t) => {
	const { each, slices } = told([complete(0, 8), issue(1, 8), issue(2, 8), complete(3, 8)]);
	t.deepEqual(each, ["alone", "+block write", "-block write! +block write", "-block write"]);
	t.deepEqual(slices.count(rule("Block requests", "guest"), "guest vm"), { pairs: 1, beginsAlone: 1, endsAlone: 1 });
});

test("requests of QEMU are told apart by req, and domains by their names", (t) => {
	const read = (time: number, req: number, domain: string) =>
		event(time, "qemu", "qemu:virtio_blk_handle_read", { req, sector: 0 }, 0, domain);
	const done = (time: number, req: number, domain: string) =>
		event(time, "qemu", "qemu:virtio_blk_req_complete", { req, status: 0 }, 1, domain);
	const { each, open } = told([
		read(0, 1, "a"),
		read(1, 1, "b"),
		read(2, 2, "a"),
		done(3, 1, "b"),
		done(4, 3, "a"),
		done(5, 1, "a"),
	]);
	t.deepEqual(each, [
		"+virtio-blk read",
		"+virtio-blk read",
		"+virtio-blk read",
		"-virtio-blk read",
		"alone",
		"-virtio-blk read",
	]);
	t.deepEqual(open, ["virtio-blk read"]);
});

test("an exit to QEMU lasts until the vCPU runs again, whatever else QEMU asks KVM of it before", (t) => {
	const exit = (time: number, cpu_index: number, reason: number) =>
		event(time, "qemu", "qemu:kvm_run_exit", { cpu_index, reason });
	const ioctl = (time: number, cpu_index: number, type: number) =>
		event(time, "qemu", "qemu:kvm_vcpu_ioctl", { cpu_index, type, arg: "0x0" }, 1);
	const [run, setRegisters] = [0xae80, 0x4090ae82];
	const { each, open, slices } = told([
		ioctl(0, 0, setRegisters),
		exit(1, 0, 2),
		exit(2, 1, 6),
		ioctl(3, 0, setRegisters),
		ioctl(4, 1, run),
		ioctl(5, 0, run),
		exit(6, 0, 2),
	]);
	const [io, mmio] = ["exit, reason 2", "exit, reason 6"];
	t.deepEqual(each, ["alone", `+${io}`, `+${mmio}`, "alone", `-${mmio}`, `-${io}`, `+${io}`]);
	t.deepEqual(open, [io]);
	t.deepEqual(slices.count(rule("vCPU exits to QEMU", "qemu"), "qemu vm"), { pairs: 2, beginsAlone: 1, endsAlone: 0 });
});

test("an exit of KVM lasts until its vCPU's entry, by the thread where that is known, and else by the CPU", (t) => {
	const at = (time: number, name: string, fields: Fields, cpu: number) => event(time, "host", name, fields, cpu);
	const { each, open } = told([
		at(0, "kvm_x86_exit", { tid: 7, exit_reason: 30 }, 0),
		at(1, "kvm_x86_exit", { tid: 8, exit_reason: 48 }, 1),
		at(2, "kvm_x86_entry", { tid: 7 }, 1),
		at(3, "kvm_x86_entry", { tid: 8 }, 0),
		at(4, "kvm_exit", { exit_reason: 12 }, 0),
		at(5, "kvm_entry", {}, 1),
		at(6, "kvm_entry", {}, 0),
	]);
	t.deepEqual(each, [
		"+exit, reason 30",
		"+exit, reason 48",
		"-exit, reason 30",
		"-exit, reason 48",
		"+exit, reason 12",
		"alone",
		"-exit, reason 12",
	]);
	t.deepEqual(open, []);
});

test("interrupts lie within a task, and within each other", (t) => {
	const at = (time: number, name: string, fields: TraceEvent["fields"], cpu = 0) =>
		event(time, "guest", name, fields, cpu);
	const { each, open } = told([
		at(0, "sched_switch", { next_comm: "fio", next_tid: 7 }),
		at(1, "irq_softirq_entry", { vec: 4 }),
		at(2, "irq_handler_entry", { irq: 29, name: "virtio2-req.0" }),
		at(3, "irq_handler_entry", { irq: 29, name: "virtio2-req.0" }, 1),
		at(4, "irq_handler_exit", { irq: 29 }),
		at(5, "irq_softirq_exit", { vec: 4 }),
		at(6, "sched_switch", { next_comm: "swapper/0", next_tid: 0 }),
		at(7, "sched_switch", { next_comm: "sh", next_tid: 9 }),
	]);
	t.deepEqual(each, [
		"+fio",
		"+softirq BLOCK",
		"+irq 29 virtio2-req.0",
		"+irq 29 virtio2-req.0",
		"-irq 29 virtio2-req.0",
		"-softirq BLOCK",
		"-fio",
		"+sh",
	]);
	t.deepEqual(open, ["sh", "irq 29 virtio2-req.0"]);
});

test("an end that was lost does not keep what is around it open", (t) => {
	const { each, slices } = told([
		event(0, "guest", "irq_softirq_entry", { vec: 1 }),
		event(1, "guest", "irq_handler_entry", { irq: 5 }),
		event(2, "guest", "irq_softirq_exit", { vec: 1 }),
		event(3, "guest", "irq_handler_exit", { irq: 5 }),
		event(4, "guest", "irq_handler_entry", { irq: 6 }),
		event(5, "guest", "sched_switch", { next_comm: "sh", next_tid: 9 }),
	]);
	t.deepEqual(each, ["+softirq TIMER", "+irq 5", "-irq 5! -softirq TIMER", "alone", "+irq 6", "-irq 6! +sh"]);
	t.deepEqual(slices.count(rule("Interrupt handlers", "guest"), "guest vm"), {
		pairs: 0,
		beginsAlone: 2,
		endsAlone: 1,
	});
});

test("an event that no rule knows stands alone", (t) => {
	t.deepEqual(told([event(0, "guest", "timer_start")]).each, ["alone"]);
	// The guest's names mean nothing in QEMU's trace.
	t.deepEqual(told([event(0, "qemu", "qemu:sched_switch", { next_comm: "x", next_tid: 1 })]).each, ["alone"]);
});

test("a block request is called by its kind, where that is known", (t) => {
	const label = (fields: Fields) => rule("Block requests", "guest").label(event(0, "guest", "block_rq_issue", fields));
	t.deepEqual([{ rwbs: 36 }, { rwbs: "WS" }, {}].map(label), ["block read", "block write", "block"]);
});
