import type { ScratchHost } from "./run-step.ts";

/**
 * An lttng whose sessions are folders in `lttng/host` of the scratch root, and in `lttng/guest` where it runs in the
 * guest: files `mode`, `on`, `size` (of a sub-buffer), and the lists `pids` and `events`. These files in `lttng/` say what goes on:
 *
 *     down    no session daemon answers        kernel  the host's kernel can be traced
 *     refuse  why an event cannot be enabled   losses  discarded events and lost packets, of each domain
 *     guest-kernel  what `list --kernel` says in the guest    refuse-snapshot  why no snapshot can be taken on the host
 *     ust     what `list --userspace` says     made/host, made/guest  the traces that a session turns out to have
 */
export function fakeLttng(scratch: ScratchHost): void {
	scratch.fake("lttng", `l=$root/lttng where=host; [ -z "\${in_guest:-}" ] || where=guest; s=$l/$where\n${lttng}`);
	scratch.fake("modinfo", '[ "$1" = lttng-tracer ] && [ ! -e "$root/lttng/no-modules" ]');
	scratch.fake("systemctl", '[ "$*" = "start lttng-sessiond" ] && rm -f "$root/lttng/guest-down"');
}

const lttng = `
[ "$1" != --version ] || { echo "lttng (LTTng Trace Control) 2.13.9 - Nordicité"; exit; }
[ "$1" = --no-sessiond ] || { echo "it would start a daemon: $*" >&2; exit 96; }
shift
[ "$1" != --version ] || { echo "lttng (LTTng Trace Control) 2.13.9 - Nordicité"; exit; }
no_daemon() { echo "Error: No session daemon is available" >&2; exit 1; }
[ ! -e "$l/down" ] || no_daemon
[ -z "\${in_guest:-}" ] || [ ! -e "$l/guest-down" ] || no_daemon
xml=; [ "$1 \${2:-}" != '--mi xml' ] || { xml=1; shift 2; }
verb=$1; shift
session= words=()
for word; do
	case $word in
	--session=*) session=\${word#*=} ;;
	*) words+=("$word") ;;
	esac
done
set -- "\${words[@]}"
known() { [ -d "$s/$1" ] || { echo "Error: Session name not found" >&2; exit 1; }; }
case $verb in
create) [ ! -d "$s/$1" ] || { echo "Error: Session name already exists" >&2; exit 1; }
	mkdir -p "$s/$1"; : >"$s/$1/pids"; : >"$s/$1/events"
	case $2 in --snapshot) echo 1 >"$s/$1/mode" ;; --output=/*) echo 0 >"$s/$1/mode"; echo "\${2#*=}" >"$s/$1/output" ;; *) exit 95 ;; esac ;;
enable-channel) known "$session"
	for word; do case $word in --subbuf-size=*) echo "\${word#*=}" >"$s/$session/size" ;; esac; done ;;
add-context) known "$session" ;;
track) known "$session"; echo "\${2#--vpid=}" >>"$s/$session/pids" ;;
enable-event) known "$session"
	if [ -e "$l/refuse" ]; then cat "$l/refuse" >&2; exit 1; fi
	for word; do
		case $word in --userspace | --kernel | --channel=main | --tracepoint | --filter=*) ;; -*) exit 95 ;; *) tr , '\\n' <<<"$word" >>"$s/$session/events" ;; esac
	done ;;
start) known "$1"; : >"$s/$1/on"; [ -z "\${in_guest:-}" ] || [ ! -e "$s/$1/output" ] || mkdir -p "$(cat "$s/$1/output")" ;;
stop) known "$1"; [ -e "$s/$1/on" ] || { echo "Warning: Tracing already stopped for session $1" >&2; exit 1; }
	rm "$s/$1/on"
	o=$(cat "$s/$1/output"); [ ! -e "$s/$1/rotated" ] || o=$o/20261127T140000+0000-$(($(wc -l <"$s/$1/rotated") + 1))
	mkdir -p "$o"; [ ! -e "$l/made/$where" ] || cp -r "$l/made/$where/." "$o" ;;
rotate) known "$1"
	o=$(cat "$s/$1/output"); echo >>"$s/$1/rotated"; n=$(wc -l <"$s/$1/rotated"); c=$o/archives/20261127T14000$n+0000-20261127T14000$n+0000-$n
	mkdir -p "$c"
	if [ -e "$s/$1/on" ]; then cp -r "$l/made/$where/." "$c"; else mv "$o/20261127T140000+0000-$n"/* "$c"; rmdir "$o/20261127T140000+0000-$n"; fi
	echo "<rotation><location><local><absolute_path>$c</absolute_path></local></location></rotation>" ;;
snapshot) [ "$1" = record ] || exit 93; known "$session"
	if [ "$where" = host ] && [ -e "$l/refuse-snapshot" ]; then cat "$l/refuse-snapshot" >&2; exit 1; fi
	mkdir -p "\${2#file://}"; [ ! -e "$l/made/$where" ] || cp -r "$l/made/$where" "\${2#file://}/snapshot-1" ;;
destroy) known "$1"; rm -r "\${s:?}/$1" ;;
list)
	if [ "\${1:-}" = --kernel ]; then
		if [ -n "\${in_guest:-}" ]; then cat "$l/guest-kernel" 2>/dev/null; exit; fi
		[ -e "$l/kernel" ]; exit
	fi
	if [ "\${1:-}" = --userspace ]; then cat "$l/ust" 2>/dev/null; exit; fi
	[ -n "$xml\${1:-}" ] || exit 0
	enabled() { [ -e "$s/$1/on" ] && echo true || echo false; }
	if [ -z "\${1:-}" ]; then
		for session in $(ls "$s" 2>/dev/null); do echo "<session><name>$session</name><enabled>$(enabled "$session")</enabled></session>"; done
		exit
	fi
	# LTTng prints a part of an answer, and fails.
	[ -z "$xml" ] || [ -e "$s/$1" ] || echo '<command><name>list</name><output><sessions/></output>'
	known "$1"
	[ -n "$xml" ] || { echo "Recording session $1: [active snapshot]"; exit; }
	losses() { printf '<domain><type>%s</type><discarded_events>%s</discarded_events><lost_packets>%s</lost_packets></domain>' "$1" $(cat "$l/losses" 2>/dev/null || echo 0 0); }
	losses UST; losses KERNEL
	printf '<session><name>%s</name><enabled>%s</enabled><snapshot_mode>%s</snapshot_mode>' "$1" "$(enabled "$1")" "$(cat "$s/$1/mode")"
	[ ! -e "$s/$1/size" ] || printf '<channel><name>main</name><attributes><subbuffer_size>%s</subbuffer_size><subbuffer_count>8</subbuffer_count></attributes></channel>' "$(cat "$s/$1/size")"
	while read -r pid; do printf '<vpid><type><id>%s</id></type></vpid>' "$pid"; done <"$s/$1/pids"
	while read -r event; do printf '<event><name>%s</name><type>TRACEPOINT</type><enabled>true</enabled></event>' "$event"; done <"$s/$1/events"
	echo '<event><name>other</name><type>TRACEPOINT</type><enabled>false</enabled></event></session>' ;;
*) exit 94 ;;
esac`;
