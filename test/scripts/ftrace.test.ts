import { readFileSync } from "node:fs";
import test from "ava";
import { execaSync } from "execa";
import { loadProfile, profileNames } from "../../spec/load-profile.ts";
import { matches } from "../../spec/profile.ts";

// tracepoints/ is of a quickstart guest, Linux 6.1.192: its available_events, with two of the system calls, and what LTTng
// 2.16.0's modules list there.
const file = (name: string) => new URL(`tracepoints/${name}.txt`, import.meta.url).pathname;
const scripts = new URL("../../scripts/", import.meta.url).pathname;

/** LTTng's names before the kernel's own. */
const namesOf = (events: string) =>
	execaSync("bash", ["-c", 'source lib/ftrace.sh; sed "$ftrace_names"'], { cwd: scripts, input: events })
		.stdout.split("\n")
		.map((line) => line.split(" "));
const called = namesOf(readFileSync(file("ftrace"), "utf8"));
const names = called.map(([name = ""]) => name);
const lttng = readFileSync(file("lttng"), "utf8").trimEnd().split("\n");

test("each tracepoint of a profile is LTTng's name of one that ftrace has, and of the same ones", (t) => {
	for (const profile of profileNames()) {
		const { guest, host } = loadProfile(profile);
		// This guest has no KVM of its own.
		const ofHosts = Object.keys(host).filter((pattern) => !pattern.startsWith("kvm_"));
		for (const pattern of [...Object.keys(guest), ...ofHosts]) {
			const [ours, theirs] = [names, lttng].map((all) => all.filter((name) => matches(pattern, name)));
			t.true((ours?.length ?? 0) > 0, `${profile}: ${pattern}`);
			if (!pattern.includes("*")) t.deepEqual(ours, theirs, `${profile}: ${pattern}`);
		}
	}
});

test("the names that LTTng has in place of the kernel's", (t) => {
	const of = new Map(called.map(([name = "", event = ""]) => [event, name]));
	const renamed = [
		...["block:block_rq_issue", "irq:irq_handler_entry", "irq:softirq_entry", "timer:hrtimer_expire_entry"],
		...["timer:timer_start", "irq_vectors:local_timer_entry", "exceptions:page_fault_user", "kmem:mm_page_alloc"],
		...["vmscan:mm_vmscan_kswapd_wake", "vmscan:mm_shrink_slab_start", "net:netif_rx", "skb:kfree_skb"],
		...["skb:skb_copy_datagram_iovec", "sched:sched_process_exec", "syscalls:sys_enter_read", "raw_syscalls:sys_enter"],
	];
	t.deepEqual(
		renamed.map((event) => of.get(event)),
		[
			...["block_rq_issue", "irq_handler_entry", "irq_softirq_entry", "timer_hrtimer_expire_entry"],
			...["timer_start", "x86_irq_vectors_local_timer_entry", "x86_exceptions_page_fault_user", "kmem_mm_page_alloc"],
			...["mm_vmscan_kswapd_wake", "mm_vmscan_shrink_slab_start", "net_if_rx", "skb_kfree"],
			...["skb_copy_datagram_iovec", "sched_process_exec", undefined, undefined],
		],
	);
});

test("of KVM's tracepoints, those of x86 have LTTng's names, and the others their own", (t) => {
	const renamed = [
		...["kvm:kvm_entry", "kvm:kvm_exit", "kvm:kvm_inj_virq", "kvm:kvm_apic_accept_irq", "kvm:vcpu_match_mmio"],
		...["kvm:kvm_pic_set_irq", "kvm:kvm_userspace_exit", "kvm:kvm_set_irq", "kvm:kvm_ack_irq", "kvm:kvm_mmio"],
		...["kvm:kvm_ioapic_set_irq", "kvm:kvm_async_pf_ready", "kvm:kvm_halt_poll_ns", "kvmmmu:kvm_mmu_get_page"],
	];
	t.deepEqual(
		namesOf(renamed.join("\n")).map(([name]) => name),
		[
			...["kvm_x86_entry", "kvm_x86_exit", "kvm_x86_inj_virq", "kvm_x86_apic_accept_irq", "kvm_x86_vcpu_match_mmio"],
			...["kvm_x86_pic_set_irq", "kvm_userspace_exit", "kvm_set_irq", "kvm_ack_irq", "kvm_mmio"],
			...["kvm_ioapic_set_irq", "kvm_async_pf_ready", "kvm_halt_poll_ns", "kvm_mmu_get_page"],
		],
	);
});

test("no two tracepoints have one name, and all that LTTng lists are there but those that this kernel has not", (t) => {
	t.is(new Set(names).size, names.length);
	const absent = lttng.filter((name) => !names.includes(name));
	// Its own, and by groups what other kernels have.
	t.deepEqual(
		absent.filter((name) => !name.startsWith("lttng_")),
		[
			...["ext4_ordered_write_end", "ext4_writeback_write_end", "i2c_read", "i2c_reply", "i2c_result", "i2c_write"],
			...["kmem_cache_alloc_node", "kmem_kmalloc_node", "mm_vmscan_memcg_reclaim_begin", "mm_vmscan_memcg_reclaim_end"],
			...["mm_vmscan_memcg_softlimit_reclaim_begin", "mm_vmscan_memcg_softlimit_reclaim_end", "net_if_rx_ni_entry"],
			...["net_if_rx_ni_exit", "power_machine_suspend", "sched_stat_blocked", "sched_stat_iowait", "sched_stat_sleep"],
			...["sched_stat_wait", "writeback_bdi_unregister", "writeback_congestion_wait", "writeback_nothread"],
			...["writeback_nowork", "writeback_thread_start", "writeback_thread_stop", "writeback_wait_iff_congested"],
			...["writeback_wake_forker_thread", "writeback_wake_thread", "x86_irq_vectors_deferred_error_apic_entry"],
			...["x86_irq_vectors_deferred_error_apic_exit", "x86_irq_vectors_ipi_entry", "x86_irq_vectors_ipi_exit"],
			...["x86_irq_vectors_thermal_apic_entry", "x86_irq_vectors_thermal_apic_exit"],
			...["x86_irq_vectors_threshold_apic_entry", "x86_irq_vectors_threshold_apic_exit"],
		],
	);
});
