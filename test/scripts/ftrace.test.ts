import { readFileSync } from "node:fs";
import test from "ava";
import { execaSync } from "execa";
import { loadProfile, profileNames } from "../../spec/load-profile.ts";
import { matches } from "../../spec/profile.ts";

// tracepoints/ is of a quickstart guest, Linux 6.1.192: its available_events, with two of the system calls, and what LTTng
// 2.16.0's modules list there.
const file = (name: string) => new URL(`tracepoints/${name}.txt`, import.meta.url).pathname;
const scripts = new URL("../../scripts/", import.meta.url).pathname;

const called = execaSync("bash", ["-c", `source lib/ftrace.sh; sed "$ftrace_names" ${file("ftrace")}`], {
	cwd: scripts,
})
	.stdout.split("\n")
	.map((line) => line.split(" "));
const names = called.map(([name = ""]) => name);
const lttng = readFileSync(file("lttng"), "utf8").trimEnd().split("\n");

test("each tracepoint of a profile is LTTng's name of one that ftrace has, and of the same ones", (t) => {
	for (const profile of profileNames()) {
		for (const pattern of Object.keys(loadProfile(profile).guest)) {
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
