#!/usr/bin/env bash
# A trace session over the layers of some domains: one of root's session daemon for their QEMUs and, where there are
# lttng-modules for it, the host's kernel, which ftrace records elsewhere; and one in each guest for its kernel. A flight
# recorder, which keeps what happened last in memory until somebody takes a snapshot, or one that writes all of it to a folder.
# Inputs, all texts, since ./lab gives them by the environment as well:
#   session  name of the session, on the host and in the guests
#   mode     snapshot: a flight recorder; stream: all is written
#   folder   where the host's part writes to, for stream
#   domains  a line for each domain: NAME LIBVIRTNAME EMULATOR, the emulator being a path
#   qemu     a line for each of QEMU's events: NAME, or NAME FILTER
#   guest    a line for each event of the guests' kernels; none: they are not traced
#   host     a line for each event of the host's kernel; none: it is not traced
#   size     bytes of a sub-buffer, of which each processor has
#   count    so many
# Owns the sessions of that name, $state_dir/traces/SESSION, the domains that have them, and beside it SESSION.kept, what a
# flight recorder's host part held each of the last three times before it was made again. What LTTng wrote to the folder is
# a person's, and stays; the pages that ftrace wrote of the host's kernel, beside that folder, go.
source lib/step.sh
# The one that is looked at.
domain=none
source lib/guest-agent.sh
source lib/lttng.sh
source lib/ftrace.sh
: "${session:?}" "${mode:?}" "${folder?}" "${domains?}" "${qemu:?}" "${guest?}" "${host?}" "${size:?}" "${count:?}"

record=$state_dir/traces/$session
kept=$record.kept
# Of ftrace's buffer for each processor.
kilobytes=$((size * count / 1024))

# Where ftrace's part of the host's kernel is: cli/trace/host-kernel.ts.
kernel_folder=$root/run/tracelab/ftrace/$session
[ -z "$folder" ] || kernel_folder=${folder%/*}/ftrace

# What was found of the parts, by name: host, kernel (the host's, where ftrace records it), or guest NAME; and the guests
# without lttng-modules, whose kernels ftrace records.
declare -A wrong=() by_ftrace=()

# Of a flight recorder whose session is as wanted: why it has nothing of a QEMU, and what it lacks of one, a sentence for each.
unseen=() unknown=()

probe() {
	local words
	compare
	[ -z "${wrong[host]:-}" ] || drift "${wrong[host]}"
	[ -z "${wrong[kernel]:-}" ] || drift "${wrong[kernel]}"
	for words in "${unseen[@]}"; do drift "$words"; done
	each_domain tell_guest
}

tell_guest() { [ -z "${wrong["guest $name"]:-}" ] || drift "${wrong["guest $name"]}"; }

# each_domain COMMAND…: for each domain that there is to trace, with its name in libvirt in `domain`, its own in `name`,
# and its emulator in `program`.
each_domain() { each_in "$domains" "$@"; }

each_in() {
	local name program
	while read -r name domain program <&3; do "${@:2}"; done 3<<<"$1"
}

# compare: fills `wrong`. What a domain that does not run, or that a debugger holds, lacks is its own steps' to say.
compare() {
	local xml wanted
	wrong=()
	xml=$(lttng_ --mi xml list "$session" 2>/dev/null) || xml=''
	wanted=$(rules "$qemu")
	if kernel_by_lttng; then wanted+=$'\n'$(rules "$host"); fi
	differs host "$xml" "$(pids)" "$wanted"
	[ -n "${wrong[host]:-}" ] || compare_qemus
	! kernel_by_ftrace || compare_kernel
	[ -z "$guest" ] || each_domain compare_guest
}

# compare_qemus: fills `unseen` and `unknown`. LTTng takes events of any name, and of a process that it does not see; a run says so
# itself when it has ended. The clock's event, which alone has a filter, has another way where there is none.
compare_qemus() {
	local listed events
	unseen=() unknown=()
	events=$(grep -v ' ' <<<"$qemu" | paste -sd ' ' || :)
	[ "$mode" = snapshot ] && [ -n "$events" ] || return 0
	listed=$(lttng_ list --userspace 2>/dev/null) || return 0
	each_domain compare_qemu "$listed" "$events"
}

compare_qemu() {
	local pid missing
	pid=$(qemu_pid)
	[ -n "$pid" ] || return 0
	if ! missing=$(awk -v pid="$pid" -v events="$2" "$missing_events" <<<"$1"); then
		unseen+=("process $pid of $name is not registered with root's session daemon")
	elif [ "$missing" = "$2" ]; then
		unseen+=("the QEMU of $name has none of these tracepoints: $missing")
	elif [ -n "$missing" ]; then
		unknown+=("the QEMU of $name has no tracepoint $missing: nothing of that is recorded")
	fi
}

# What of `events` a process has not, of what `lttng list --userspace` says; 1: it is not there.
# shellcheck disable=SC2016  # awk's own variables
missing_events='
BEGIN {
	count = split(events, names, " ")
	for (i = 1; i <= count; i++) {
		pattern = names[i]
		gsub(/[*]/, ".*", pattern)
		patterns[i] = "^" pattern "$"
	}
}
$1 == "PID:" {
	ours = ($2 == pid)
	there = there || ours
}
ours { for (i in patterns) if (!(i in found) && $1 ~ patterns[i]) found[i] = 1 }
END {
	for (i = 1; i <= count; i++) if (!(i in found)) {
		printf "%s%s", space, names[i]
		space = " "
	}
	exit !there
}'

# Why the host's kernel is not traced, where it is to be and cannot.
untraced=''

compare_kernel() {
	local said code=0
	said=$(in_tracefs "$ftrace_there$ftrace_differs" "$session" "$ftrace_names" "$(patterns "$host")" "$kilobytes" " in the kernel of this host") || code=$?
	case $code in
	0) [ -z "$said" ] || wrong[kernel]=$said ;;
	5) untraced="it has no lttng-modules, and ftrace has none of these tracepoints: $(paste -sd ' ' <<<"$host")" ;;
	*) untraced="it has no lttng-modules, and no tracefs that root may mount" ;;
	esac
	[ -z "$untraced" ] || untraced="the kernel of this host ($(uname -r)) is not traced: $untraced"
}

compare_guest() {
	local said code=0
	guest_answers 5 || return 0
	said=$(guest_run "$guests_session" "$session" 2>/dev/null) || code=$?
	if [ "$code" = 3 ]; then
		by_ftrace[$name]=1
		said=$(guest_run "$ftrace_differs" "$session" "$ftrace_names" "$(patterns "$guest")" "$kilobytes" " in guest $name" 2>/dev/null) ||
			said="the guest agent of $name does not answer"
		[ -z "$said" ] || wrong["guest $name"]=$said
	else
		[ "$code" = 0 ] || said=''
		differs "guest $name" "$said" '' "$guest"
	fi
}

# patterns EVENTS: as an extended regular expression.
patterns() {
	local patterns=${1//\*/.*}
	printf %s "${patterns//$'\n'/|}"
}

# differs PART XML PIDS EVENTS: puts what the session of a part has other than wanted into `wrong`.
differs() {
	local part=$1 xml=$2 where='' lost
	[ "$part" = host ] || where=" in $part"
	if [ -z "$xml" ]; then
		wrong[$part]="there is no trace session $session$where"
	elif ! session_is "$mode" "$xml"; then
		wrong[$part]="trace session $session$where is none of mode $mode"
	elif ! session_runs "$xml"; then
		wrong[$part]="trace session $session$where is stopped"
	elif ! buffers_are "$size" "$count" "$xml"; then
		wrong[$part]="trace session $session$where has buffers of another size than its budget asks for"
	elif [ -n "$3" ] && [ "$(session_pids "$xml")" != "$3" ]; then
		wrong[$part]="trace session $session follows process $(session_pids "$xml" | paste -sd ' '), and its domains have $(paste -sd ' ' <<<"$3")"
	else
		lost=$(comm -23 <(sort -u <<<"$4") <(session_events "$xml") | paste -sd ' ')
		[ -z "$lost" ] || wrong[$part]="trace session $session$where does not record: $lost"
		lost=$(comm -13 <(sort -u <<<"$4") <(session_events "$xml") | paste -sd ' ')
		[ -z "$lost" ] || [ -n "${wrong[$part]:-}" ] || wrong[$part]="trace session $session$where records as well: $lost"
	fi
}

# rules LINES: the names of the events in lines that may have filters.
rules() { [ -z "$1" ] || cut -d ' ' -f 1 <<<"$1"; }

# pids: the processes of the domains that run, in order.
pids() { each_domain qemu_pid | sort; }

qemu_pid() {
	local pid=''
	read -r pid 2>/dev/null <"$root/run/libvirt/qemu/$domain.pid" || :
	if [ -n "$pid" ] && [ -e "$root/proc/$pid" ]; then printf '%s\n' "$pid"; fi
}

# Is the host's kernel wanted, and can LTTng trace it? Or else ftrace may.
kernel_by_lttng() { [ -n "$host" ] && lttng_ list --kernel >/dev/null 2>&1; }
kernel_by_ftrace() { [ -n "$host" ] && ! kernel_by_lttng; }

apply() {
	local dropped words
	each_domain check_process
	dropped=$(grep -vxF "$domains" "$record" 2>/dev/null || :)
	[ -z "$dropped" ] || each_in "$dropped" end_guest
	# Before they are made: a kill in between must not leave one that nothing ends.
	printf '%s\n' "$domains" | write_file "$record" 644
	[ -n "$guest" ] || [ "$mode" = stream ] || each_domain end_guest
	kernel_by_ftrace || end_kernel
	compare
	[ -z "$guest" ] || each_domain tell_waiting
	if [ ${#wrong[@]} = 0 ] && [ ${#unseen[@]} = 0 ]; then
		say "$step: trace session $session is up to date"
	else
		[ -z "${wrong[host]:-}" ] || start_host
		[ -z "${wrong[kernel]:-}" ] || start_kernel
		each_domain start_guest
		await_qemus
	fi
	for words in "${unknown[@]}"; do say "$step: $words"; done
	if [ -n "$untraced" ]; then
		say "$step: $untraced"
		output host "$untraced"
	fi
}

# tell_waiting: a guest that cannot be asked yet gets its session by the next up.
tell_waiting() {
	guest_answers 5 || [ -n "${wrong["guest $name"]:-}" ] || [ "$(domain_state)" != paused ] ||
		say "$step: $domain is paused: its kernel is traced from the next up on"
}

# check_process: by identity, since whatever else has that number would be traced instead.
check_process() {
	local pid runs
	pid=$(qemu_pid)
	[ -n "$pid" ] || die "domain $name does not run" "start it: $(lab_command) up"
	runs=$(readlink "$root/proc/$pid/exe" 2>/dev/null || :)
	[ "$runs" = "$program" ] || die "domain $name (process $pid) runs on ${runs:-an unknown program}, not on $program" \
		"$(lab_command) up starts it on this lab's QEMU"
}

start_host() {
	local output=$folder pid joined
	local -a filtered plain
	lttng_ list >/dev/null 2>&1 || die "root's session daemon does not answer, so nothing can be traced" "$(lab_command) up starts it"
	[ "$mode" = stream ] || keep_held
	end_host
	mkdir -p "$root/run/tracelab"
	# Another one's files are no place to write to.
	if [ "$mode" = stream ] && [ -e "$output" ]; then output=$output/$(date -u +%Y%m%dT%H%M%SZ); fi
	run "making trace session $session" lttng_ create "$session" "${create[@]/%=/=$output}"
	run "making its buffers" lttng_ enable-channel --session="$session" --userspace "${buffers[@]}" main
	while read -r pid; do
		run "choosing process $pid" lttng_ track --session="$session" --userspace --vpid="$pid"
	done < <(pids)
	mapfile -t filtered < <(grep ' ' <<<"$qemu" || :)
	mapfile -t plain < <(grep -v ' ' <<<"$qemu" || :)
	joined=$(join , "${plain[@]}")
	[ -z "$joined" ] || enable_ust "$joined"
	for joined in "${filtered[@]}"; do enable_ust "${joined%% *}" --filter="${joined#* }"; done
	run "adding contexts" lttng_ add-context --session="$session" --userspace --channel=main --type=vpid --type=vtid
	if kernel_by_lttng; then
		run "making the buffers of the kernel" lttng_ enable-channel --session="$session" --kernel "${buffers[@]}" main
		run "enabling events of the kernel" lttng_ enable-event --session="$session" --kernel --channel=main --tracepoint \
			"$(paste -sd , <<<"$host")"
		# An interrupt is nobody's: that of whom it interrupted, or what handles it, is all that there is.
		run "adding contexts of the kernel" lttng_ add-context --session="$session" --kernel --channel=main --type=tid --type=procname
	fi
	run "starting trace session $session" lttng_ start "$session"
	say "$step: trace session $session records process $(pids | paste -sd ' ')"
}

# keep_held: LTTng cannot rotate a flight recorder, so what it holds is written to a folder before it is made again. A QEMU
# that crashed left its last events there, and up brings another QEMU, which this one does not follow.
keep_held() {
	local folder words
	lttng_ list "$session" >/dev/null 2>&1 || return 0
	folder=$kept/$(date -u +%Y%m%dT%H%M%SZ)
	if words=$(lttng_ snapshot record --session="$session" "file://$folder" 2>&1); then
		find "$kept" -mindepth 1 -maxdepth 1 | sort | head -n -3 | xargs -r -d '\n' rm -rf
		say "$step: what trace session $session held is in $folder: babeltrace2 reads it"
		return 0
	fi
	rm -rf "$folder"
	case $words in
	# It holds nothing.
	*"started once"* | *"non-snapshot session"*) ;;
	*) die "what trace session $session holds cannot be kept: ${words##*$'\n'}" \
		"make room (df -h $state_dir shows how much there is), then run up again; lttng destroy $session lets go of it" ;;
	esac
}

# await_qemus: a QEMU that was just started, or whose session daemon was, registers within some seconds.
await_qemus() {
	local tries=0
	compare_qemus
	while [ ${#unseen[@]} -gt 0 ] && [ "$tries" -lt 60 ]; do
		sleep 0.5
		tries=$((tries + 1))
		compare_qemus
	done
	[ ${#unseen[@]} = 0 ] || die "$(join '; ' "${unseen[@]}"), so nothing of it is recorded" \
		"lttng list -u shows what there is; start a QEMU that stays away again (virsh destroy $stack-NAME, then up), give one without UST traceBackends: [ust] in the stack file, or correct the names in the profile"
}

# Nothing is left out of a pattern by --exclude: whoever then lists the session, such as a probe, makes the session daemon
# of LTTng 2.13.9 crash.
enable_ust() { run "enabling $1" lttng_ enable-event --session="$session" --userspace --channel=main "$@"; }

start_kernel() {
	local words code=0
	words=$(in_tracefs "$ftrace_start" "$session" "$kernel_folder" "$mode" "$ftrace_names" "$(patterns "$host")" "$kilobytes" "$ftrace_pages" 2>&1) || code=$?
	[ "$code" = 0 ] || die "the kernel of this host cannot be traced: ${words##*$'\n'}" "see its log: dmesg"
	say "$step: trace session $session records the kernel of this host by ftrace, as it has no lttng-modules"
}

start_guest() {
	local code=0 words with=lttng look='journalctl -u lttng-sessiond'
	[ -n "${wrong["guest $name"]:-}" ] || return 0
	[ -z "${by_ftrace[$name]:-}" ] || with=ftrace look=dmesg
	words=$("start_$with" 2>&1) || code=$?
	case $with-$code in
	lttng-0) say "$step: trace session $session records the kernel of $name" ;;
	ftrace-0) say "$step: trace session $session records the kernel of $name by ftrace, as it has no lttng-modules" ;;
	ftrace-4) die "guest $name has no lttng-modules for its kernel, and no ftrace in it, so its kernel cannot be traced" \
		"give the domain the modules lttng in the stack file, as stacks/quickstart.yaml does, or its kernel CONFIG_FTRACE and CONFIG_FUNCTION_TRACER, as kconfig/quickstart.config does; then run up" ;;
	ftrace-5) die "the kernel of $name has none of these tracepoints: $(paste -sd ' ' <<<"$guest")" \
		"see those that it has, in the guest: /sys/kernel/tracing/available_events; some need another kernel configuration" ;;
	*-255) die "the guest agent of $name does not answer" "$(see_console_of "$name")" ;;
	*) die "the kernel of $name cannot be traced: ${words##*$'\n'}" "see the guest's log: $(lab_command) exec $name -- $look" ;;
	esac
}

# A session of ftrace's that was there before the modules were would be taken for this one.
start_lttng() {
	guest_run "end_ftrace() {
$ftrace_end}
end_ftrace \"\$1\" \"\$3\"
$guests_part" "$session" "$mode" "$guest_folder" "$size" "$count" "$(paste -sd , <<<"$guest")"
}

start_ftrace() {
	guest_run "$ftrace_start" "$session" "$guest_folder" "$mode" "$ftrace_names" "$(patterns "$guest")" "$kilobytes" "$ftrace_pages"
}

end_host() { lttng_ destroy "$session" >/dev/null 2>&1 || :; }

end_kernel() {
	in_tracefs "$ftrace_end" "$session" "$kernel_folder" >/dev/null 2>&1 || :
	rmdir --ignore-fail-on-non-empty "$root/run/tracelab/ftrace" 2>/dev/null || :
}

remove() {
	end_host
	end_kernel
	[ ! -e "$record" ] || each_in "$(<"$record")" end_guest
	rm -f "$record"
	# A run may have such a name.
	[ "$mode" = stream ] || rm -rf "$kept"
	rmdir --ignore-fail-on-non-empty "${record%/*}" 2>/dev/null || :
}

end_guest() {
	guest_answers 5 || return 0
	# shellcheck disable=SC2016  # expanded in the guest
	guest_run 'lttng --no-sessiond destroy "$1"; '"$ftrace_end" "$session" "$guest_folder" >/dev/null 2>&1 || :
}
