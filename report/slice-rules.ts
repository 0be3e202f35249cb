import { requestKind } from "../spec/rwbs.ts";
import { bareName, type Layer, type TraceEvent } from "./event.ts";

/**
 * What makes two events the begin and the end of one thing.
 *
 * `nested` things happen on one CPU, one inside the other: an interrupt in a task. `keyed` ones overlap as they like and
 * may end on another CPU: block requests.
 */
export interface SliceRule {
	readonly title: string;
	readonly kind: "nested" | "keyed";
	readonly layers: readonly Layer[];
	readonly begins: readonly string[];
	readonly ends: readonly string[];
	/** Which of the events in `ends` are ends, where not all are. */
	readonly isEnd?: (event: TraceEvent) => boolean;
	/** What both events have in common. */
	readonly key: (event: TraceEvent) => string;
	/** Name of one such thing. */
	readonly label: (begin: TraceEvent) => string;
	/** What its duration is, in a sentence; there is a histogram of those that say so. */
	readonly latency?: string;
}

const field = (name: string) => (event: TraceEvent) => String(event.fields[name] ?? "");

/** include/uapi/linux/kvm.h; QEMU puts the vCPU's registers by other ioctls before it. */
const KVM_RUN = 0xae80;

/** The kernel's own names, include/linux/interrupt.h. */
const softirqs = ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

export const sliceRules: readonly SliceRule[] = [
	{
		title: "Block requests",
		kind: "keyed",
		layers: ["guest", "host"],
		begins: ["block_rq_issue"],
		ends: ["block_rq_complete"],
		key: ({ fields: { dev, sector } }) => `${dev} ${sector}`,
		label: ({ fields: { rwbs } }) => `block ${requestKind(rwbs) ?? ""}`.trim(),
		latency: "block_rq_issue to block_rq_complete of the same device and sector",
	},
	{
		title: "Block requests",
		kind: "keyed",
		layers: ["qemu"],
		begins: ["virtio_blk_handle_read", "virtio_blk_handle_write"],
		ends: ["virtio_blk_req_complete"],
		key: field("req"),
		label: ({ name }) => (name.endsWith("read") ? "virtio-blk read" : "virtio-blk write"),
		latency: "virtio_blk_handle_read or _write to virtio_blk_req_complete of the same req",
	},
	{
		title: "vCPU exits to QEMU",
		kind: "keyed",
		layers: ["qemu"],
		begins: ["kvm_run_exit"],
		ends: ["kvm_vcpu_ioctl"],
		isEnd: ({ fields: { type } }) => Number(type) === KVM_RUN,
		key: field("cpu_index"),
		label: ({ fields }) => `exit, reason ${fields["reason"] ?? "?"}`,
		latency: "kvm_run_exit to the same vCPU's next KVM_RUN (kvm_vcpu_ioctl): how long QEMU kept it",
	},
	{
		title: "vCPU exits",
		// A vCPU is a thread, which may go on elsewhere; without its tid there is the CPU alone to tell it by.
		kind: "keyed",
		layers: ["host"],
		begins: ["kvm_x86_exit", "kvm_exit"],
		ends: ["kvm_x86_entry", "kvm_entry"],
		key: ({ cpu, fields: { tid } }) => (tid === undefined ? `cpu ${cpu}` : String(tid)),
		label: ({ fields }) => `exit, reason ${fields["exit_reason"] ?? "?"}`,
		latency: "kvm_exit to the same vCPU's next kvm_entry",
	},
	{
		title: "Interrupt handlers",
		kind: "nested",
		layers: ["guest", "host"],
		begins: ["irq_handler_entry"],
		ends: ["irq_handler_exit"],
		key: field("irq"),
		label: ({ fields: { irq, name } }) => `irq ${irq}${name === undefined ? "" : ` ${name}`}`,
		latency: "irq_handler_entry to irq_handler_exit of the same irq on the same CPU",
	},
	{
		title: "Soft interrupts",
		kind: "nested",
		layers: ["guest", "host"],
		begins: ["irq_softirq_entry", "softirq_entry"],
		ends: ["irq_softirq_exit", "softirq_exit"],
		key: field("vec"),
		label: ({ fields: { vec } }) => `softirq ${softirqs[Number(vec)] ?? vec}`,
		latency: "softirq_entry to softirq_exit of the same vector on the same CPU",
	},
	{
		title: "Running task",
		kind: "nested",
		layers: ["guest", "host"],
		begins: ["sched_switch"],
		ends: ["sched_switch"],
		key: () => "",
		label: ({ fields }) => String(fields["next_comm"] ?? "?"),
	},
];

/** The idle task is nothing that runs. */
export function isIdle({ fields: { next_tid, next_pid } }: TraceEvent): boolean {
	return Number(next_tid ?? next_pid) === 0;
}

type Role = { readonly rule: SliceRule; readonly begins: boolean; readonly ends: boolean };

const roles = new Map<string, Role>();
for (const rule of sliceRules) {
	for (const layer of rule.layers) {
		for (const name of [...rule.begins, ...rule.ends]) {
			roles.set(`${layer} ${name}`, { rule, begins: rule.begins.includes(name), ends: rule.ends.includes(name) });
		}
	}
}

/** What an event begins or ends, where it does. */
export function roleOf(event: TraceEvent): Role | undefined {
	const role = roles.get(`${event.layer} ${bareName(event.name)}`);
	return role?.ends && role.rule.isEnd?.(event) === false ? undefined : role;
}
