#!/usr/bin/env bash
# Talks to the guest agent of a libvirt domain: no network in the guest is needed.
# Input: domain, the domain's name in libvirt.
source lib/step.sh
: "${domain:?}"

# Its name in the stack file.
vm=${domain#"$stack"-}

# What its console said. The first up writes the lab card, which ./lab console goes by, only at its end, and the log is root's.
# shellcheck disable=SC2034  # read by the script that sources this
console_log=${log_file%/*}/console-$vm.log
# see_console_of NAME: a plain sudo keeps no TRACELAB_STACK.
see_console_of() { printf "see the guest's console: sudo %s logs console-%s" "$(TRACELAB_STACK='' lab_command)" "$1"; }
see_console=$(see_console_of "$vm")

virsh_() { virsh --quiet --connect qemu:///system "$@"; }

# domain_state: what libvirt calls it; nothing of a domain that it does not know.
domain_state() { virsh_ domstate "$domain" 2>/dev/null | head -n 1 || :; }

# guest_answers SECONDS: does the agent answer within that time? Of a domain that is off or paused, libvirt does not ask it.
guest_answers() { virsh_ qemu-agent-command --timeout "$1" "$domain" '{"execute":"guest-ping"}' >/dev/null 2>&1; }

# only_paused: a guest that does not answer is an error, but for one that is paused.
only_paused() {
	local now
	now=$(domain_state)
	[ "$now" = paused ] || die "the guest of $domain does not answer; libvirt calls it ${now:-unknown}" \
		"$see_console"
}

# guest_run SCRIPT ARGUMENT…: runs a POSIX shell script in the guest; its output here, its exit status ours, 128 and
# the signal's number where a signal ended it, 255 where the agent stopped answering. It stands in conditions, where
# bash ignores errors, so it looks at each itself.
guest_run() {
	local answer pid wait=2 argument arguments
	arguments=$(for argument in -c "$1" sh "${@:2}"; do printf ',%s' "$(json_string "$argument")"; done)
	answer=$(guest_ask guest-exec "\"path\":\"/bin/sh\",\"capture-output\":true,\"arg\":[${arguments#,}]") || return 255
	[[ $answer =~ \"pid\":\ *([0-9]+) ]] || return 255
	pid=${BASH_REMATCH[1]}
	while :; do
		answer=$(guest_ask guest-exec-status "\"pid\":$pid") || return 255
		[[ ! $answer =~ \"exited\":\ *true ]] || break
		sleep "0.0$wait"
		[ "$wait" = 9 ] || wait=$((wait + 1))
	done
	guest_data out-data "$answer"
	guest_data err-data "$answer" >&2
	[[ ! $answer =~ \"exitcode\":\ *([0-9]+) ]] || return "${BASH_REMATCH[1]}"
	[[ ! $answer =~ \"signal\":\ *([0-9]+) ]] || return $((128 + BASH_REMATCH[1]))
	return 255
}

# guest_file FILE: the bytes of a small file of the guest; 1 where there is none, 255 where the agent does not answer. It
# starts no program in the guest, which takes an emulated one a third of a second.
guest_file() {
	local answer handle
	if ! answer=$(guest_ask guest-file-open "\"path\":$(json_string "$1")" 2>&1); then
		[[ $answer != *'No such file or directory'* ]] || return 1
		return 255
	fi
	[[ $answer =~ \"return\":\ *([0-9]+) ]] || return 255
	handle="\"handle\":${BASH_REMATCH[1]}"
	answer=$(virsh_ "$(guest_asked guest-file-read "$handle,\"count\":65536"); $(guest_asked guest-file-close "$handle")" 2>/dev/null) || return 255
	guest_data buf-b64 "$answer"
}

# guest_hex FILE: the same in hexadecimal.
guest_hex() { guest_file "$1" | od -An -v -tx1 | tr -d ' \n'; }

# guest_data NAME ANSWER: what a field of an answer holds in base64.
guest_data() { [[ ! $2 =~ \"$1\":\ *\"([A-Za-z0-9+/=]+)\" ]] || base64 -d <<<"${BASH_REMATCH[1]}"; }

# guest_ask COMMAND ARGUMENTS: the agent's answer.
guest_ask() { virsh_ qemu-agent-command --timeout 10 "$domain" "{\"execute\":\"$1\",\"arguments\":{$2}}"; }

# guest_asked COMMAND ARGUMENTS: the same as one of several commands for a single virsh.
guest_asked() { printf "qemu-agent-command --timeout 10 %s '{\"execute\":\"%s\",\"arguments\":{%s}}'" "$domain" "$1" "$2"; }
