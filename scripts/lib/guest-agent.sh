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
# bash ignores errors, so it looks at each itself.
guest_run() {
	local script=$1 request pid status exited code
	shift
	request=$(jq -cn '{execute: "guest-exec", arguments: {path: "/bin/sh", "capture-output": true,
		arg: (["-c", $ARGS.positional[0], "sh"] + $ARGS.positional[1:])}}' --args "$script" "$@") || return 255
	pid=$(guest_ask "$request" | jq '.return.pid') || return 255
	while :; do
		status=$(guest_ask "{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":$pid}}") || return 255
		exited=$(jq '.return.exited' <<<"$status") || return 255
		[ "$exited" != true ] || break
		sleep 0.1
	done
	jq -j '.return["out-data"] // "" | @base64d' <<<"$status"
	jq -j '.return["err-data"] // "" | @base64d' <<<"$status" >&2
	code=$(jq '.return | .exitcode // (128 + (.signal // 127))' <<<"$status") || code=255
	return "$code"
}

guest_ask() { virsh_ qemu-agent-command --timeout 30 "$domain" "$1"; }
