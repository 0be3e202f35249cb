#!/usr/bin/env bash
# A kernel's part of a trace session by ftrace, its own tracer, where there are no lttng-modules for it; for trace-session.sh.
# Each of these is a script for a guest or, by in_tracefs, for this host. An instance of tracefs is the session. What it
# leaves in its folder cli/trace/ftrace.ts makes CTF of.
# shellcheck disable=SC2016,SC2034  # expanded there; read by the script that sources this

# in_tracefs SCRIPT ARGUMENT…: runs one of these on this host; 4: there is no tracefs, or root may not mount it. Where nobody has
# mounted it, only the script and what it starts see the mount, which goes with the last of them.
in_tracefs() {
	local at=${TRACELAB_ROOT:-}/sys/kernel/tracing
	[ -d "$at" ] || return 4
	# What the whole host does is for nobody else to read.
	set -- sh -c "umask 077; ${1//\/sys\/kernel\/tracing/$at}" sh "${@:2}"
	[ -e "$at/available_events" ] ||
		set -- unshare --mount --propagation slave sh -c 'mount -t tracefs tracefs "$0" 2>/dev/null || exit 4; exec "$@"' "$at" "$@"
	"$@"
}

# What LTTng, by whose names profiles know events, calls SUBSYSTEM:EVENT: in most cases SUBSYSTEM_EVENT, and EVENT alone
# where that begins so. Before it goes the one name, behind it the other. System calls are none of LTTng's tracepoints.
ftrace_names='/^\(raw_\)\{0,1\}syscalls:/d; h
/^kvm:kvm_\(ack_irq\|age_\|async_pf_\|dirty_ring_\|fpu\|halt_poll_\|ioapic_set_\|mmio\|msi_set_\|set_irq\|test_age_\|try_async_\|unmap_\|userspace_\|vcpu_wakeup\)/! s/^kvm:\(kvm_\)\{0,1\}/kvm_x86_/
s/^kvmmmu://
s/^irq_vectors:/x86_irq_vectors_/
s/^exceptions:/x86_exceptions_/
s/^vmscan:mm_\(vmscan_\)\{0,1\}/mm_vmscan_/
s/^net:netif_/net_if_/
s/^skb:\(.*\)_skb$/skb_\1/
s/^writeback:folio_wait_writeback$/writeback_folio_wait/
s/^\([^:]*\):\1_/\1_/
s/:/_/
G; s/\n/ /'

# session folder. Where who wrote the pages has ended before, another process may have its number.
ftrace_end='i=/sys/kernel/tracing/instances/$1
if [ -d "$i" ]; then
	echo 0 >"$i/tracing_on"
	[ ! -e "$2.pid" ] || read -r pid <"$2.pid"
	while [ -n "${pid:-}" ] && grep -zqxF "$i" "/proc/$pid/cmdline" 2>/dev/null && kill "$pid" 2>/dev/null; do sleep 0.1; done
	rmdir "$i"
fi
rm -rf "$2" "$2.pid"
'

# session folder mode names events kilobytes pages: the events as an extended regular expression. 4: the kernel has no
# tracepoints in tracefs; 5: it has none of these.
# CLOCK_MONOTONIC is what clock-beacon reads, and LTTng; the wall clock is that of index 1 in timer_list. Of a set_event that
# is written in larger pieces than a line, the kernel takes names apart.
ftrace_start="$ftrace_end"'t=/sys/kernel/tracing
[ -e $t/available_events ] || exit 4
mkdir -p "$2"
sed "$4" $t/available_events | grep -xE "($5) .*" >"$2/events" || exit 5
tail -v -n +1 $(sed "s|.* \(.*\):\(.*\)|$t/events/\1/\2/format|" "$2/events") >"$2/formats"
uname -n >"$2/system"
{ uname -r; cat /proc/sys/kernel/random/boot_id; } >>"$2/system"
awk "\$1 == \".index:\" {wall = \$2 == 1} wall && \$1 == \".offset:\" {print \$2; exit}" /proc/timer_list >>"$2/system"
mkdir "$i" && echo 0 >"$i/tracing_on" && echo mono >"$i/trace_clock" && echo "$6" >"$i/buffer_size_kb" &&
	while read -r _ event; do echo "$event" || exit; done <"$2/events" >"$i/set_event" || exit
[ "$3" = stream ] || { echo 1 >"$i/tracing_on"; exit; }
setsid perl -e "$7" "$i" "$2" </dev/null >/dev/null 2>&1 &
echo $! >"$2.pid"
until grep -q 1 "$i/tracing_on"; do
	kill -0 $! 2>/dev/null || { echo "perl, which is to write the pages, ended at once" >&2; exit 1; }
	sleep 0.1
done'

# In perl, with the instance and the folder: begins the recording, and writes the pages of each processor to a file of its
# own until it is ended; what is there then is for who ends it. To write a page is traced as well, so who took all that is
# there would never be done. Where the folder is gone, as of a run that somebody removed, nobody else knows of the instance.
ftrace_pages='use Fcntl;
my ($from, $to) = @ARGV;
my ($ended, @cpus);
$SIG{TERM} = sub { $ended = 1 };
for (glob "$from/per_cpu/cpu*") {
	sysopen my $in, "$_/trace_pipe_raw", O_RDONLY | O_NONBLOCK or die;
	open my $out, ">", "$to/" . s{.*/}{}r or die;
	push @cpus, [$in, $out];
}
# Not before all this is in memory: buffers of a small budget are full by then.
open my $on, ">", "$from/tracing_on" or die;
print $on "1\n";
close $on;
until ($ended) {
	for (@cpus) {
		my ($in, $out, $small) = (@$_, 0);
		while ($small < 2 && sysread $in, my $page, 4096) {
			syswrite($out, $page) == 4096 or exit 1;
			# The first may be what is left of a page that was not full the time before.
			$small = (0xfffff & unpack "x8V", $page) < 2048 ? $small + 1 : 0;
		}
	}
	select undef, undef, undef, 0.5;
	next if -d $to;
	@cpus = ();
	rmdir $from;
	last;
}'

# session names events: 4, 5: as above.
ftrace_there='[ -e /sys/kernel/tracing/available_events ] || exit 4
sed "$2" /sys/kernel/tracing/available_events | grep -qxE "($3) .*" || exit 5
'

# session names events kilobytes where: what the instance has other than wanted, in the words of trace-session.sh.
ftrace_differs='t=/sys/kernel/tracing i=/sys/kernel/tracing/instances/$1
called() { sed "$names" "$1" | grep -xE "($2) .*" | cut -d " " -f 1; }
differs() {
	[ -d "$i" ] || { echo "there is no trace session $1$5"; return; }
	names=$2 on=$(cat "$i/tracing_on") size=$(cat "$i/buffer_size_kb")
	wanted=$(called $t/available_events "$3") enabled=$(called "$i/set_event" ".*")
	lost=$(echo "$wanted" | grep -vxF "$enabled" | paste -sd " ")
	more=$(echo "$enabled" | grep -vxF "$wanted" | paste -sd " ")
	if [ "$on" = 0 ]; then
		echo "trace session $1$5 is stopped"
	elif [ "$size" -lt "$4" ] || [ "$size" -gt $(($4 + 8)) ]; then
		# It is rounded to whole pages.
		echo "trace session $1$5 has buffers of another size than its budget asks for"
	elif [ -n "$lost" ]; then
		echo "trace session $1$5 does not record: $lost"
	elif [ -n "$more" ]; then
		echo "trace session $1$5 records as well: $more"
	fi
}
differs "$@"'
