#!/usr/bin/env bash
# Talks to the guest agent of a libvirt domain: no network in the guest is needed.
# Input: domain, the domain's name in libvirt.
source lib/step.sh
: "${domain:?}"

virsh_() { virsh --quiet --connect qemu:///system "$@"; }

# guest_answers SECONDS: does the agent answer within that time?
guest_answers() { virsh_ qemu-agent-command --timeout "$1" "$domain" '{"execute":"guest-ping"}' >/dev/null 2>&1; }

# guest_run SCRIPT ARGUMENT…: runs a POSIX shell script in the guest; its output here, its exit status ours, 128 and
# the signal's number where a signal ended it, 255 where the agent stopped answering. It stands in conditions, where
# bash ignores errors, so it looks at each itself. A probe calls it, so jq, 40 ms each time, is called twice.
guest_run() {
	local script=$1 request answer wait=2 ended code output errors
	shift
	request=$(jq -cn '{execute: "guest-exec", arguments: {path: "/bin/sh", "capture-output": true,
		arg: (["-c", $ARGS.positional[0], "sh"] + $ARGS.positional[1:])}}' --args "$script" "$@") || return 255
	answer=$(guest_ask "$request") || return 255
	[[ $answer =~ \"pid\":\ *([0-9]+) ]] || return 255
	request="{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":${BASH_REMATCH[1]}}}"
	while :; do
		answer=$(guest_ask "$request") || return 255
		[[ ! $answer =~ \"exited\":\ *true ]] || break
		sleep "0.0$wait"
		[ "$wait" = 9 ] || wait=$((wait + 1))
	done
	ended=$(jq -r '.return | (.exitcode // (128 + (.signal // 127))), (.["out-data"] // "-"), (.["err-data"] // "-")' <<<"$answer") || return 255
	{ read -r code && read -r output && read -r errors; } <<<"$ended"
	[ "$output" = - ] || base64 -d <<<"$output"
	[ "$errors" = - ] || base64 -d <<<"$errors" >&2
	return "$code"
}

guest_ask() { virsh_ qemu-agent-command --timeout 30 "$domain" "$1"; }
