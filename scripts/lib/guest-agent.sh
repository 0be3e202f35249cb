#!/usr/bin/env bash
# Talks to the guest agent of a libvirt domain: no network in the guest is needed.
# Input: domain, the domain's name in libvirt.
source lib/step.sh
: "${domain:?}"

virsh_() { virsh --quiet --connect qemu:///system "$@"; }

# guest_answers SECONDS: does the agent answer within that time?
guest_answers() { virsh_ qemu-agent-command --timeout "$1" "$domain" '{"execute":"guest-ping"}' >/dev/null 2>&1; }

# guest_run SCRIPT ARGUMENT…: runs a POSIX shell script in the guest; its output here, its exit status ours.
guest_run() {
	local script=$1 request pid status code
	shift
	request=$(jq -cn '{execute: "guest-exec", arguments: {path: "/bin/sh", "capture-output": true,
		arg: (["-c", $ARGS.positional[0], "sh"] + $ARGS.positional[1:])}}' --args "$script" "$@")
	pid=$(virsh_ qemu-agent-command --timeout 30 "$domain" "$request" | jq '.return.pid')
	while :; do
		status=$(virsh_ qemu-agent-command --timeout 30 "$domain" \
			"{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":$pid}}")
		[ "$(jq '.return.exited' <<<"$status")" = true ] && break
		sleep 0.1
	done
	jq -r '.return["out-data"] // "" | @base64d' <<<"$status"
	jq -r '.return["err-data"] // "" | @base64d' <<<"$status" >&2
	code=$(jq '.return.exitcode // 255' <<<"$status")
	return "$code"
}
