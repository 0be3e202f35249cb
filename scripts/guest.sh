#!/usr/bin/env bash
# A defined domain, running as asked: started (or paused at boot, for gdb), its guest answering, on the right
# QEMU, under its process name, with its gdbstub listening, on the kernel that gdb has the symbols of.
# Inputs:
#   domain         the domain's name in libvirt
#   uuid           its UUID: another one is another definition
#   folder         the folder of the domain on this host
#   emulator       what /proc/PID/exe must be
#   kernel_prefix  the kernel's build
#   process_name   what pgrep -x must find
#   gdb_port       TCP port of the gdbstub on 127.0.0.1
#   paused         1: stay stopped before the first instruction until gdb says continue
#   overlay, base  the disk, and the image below it
# Owns $folder/UUID.xml, the definition as @pulumi/libvirt made it: what was edited or undefined by hand comes
# back from there, under the same UUID, and @pulumi/libvirt never notices.
source lib/guest-agent.sh
: "${uuid:?}" "${folder:?}" "${emulator:?}" "${kernel_prefix:?}" "${process_name:?}" "${gdb_port:?}" "${paused:?}"
: "${overlay:?}" "${base:?}"

definition=$root$folder/$uuid.xml

probe() {
	if ! virsh_ list >/dev/null 2>&1; then
		drift "libvirtd does not answer"
		return
	fi
	probe_definition
	case $(state) in
	running | paused) probe_process ;;
	'') ;;
	*) drift "domain $domain is $(state)" ;;
	esac
}

state() { virsh_ domstate "$domain" 2>/dev/null | head -n 1 || :; }

probe_definition() {
	[ -e "$overlay" ] || drift "the disk $overlay of $domain is gone"
	if ! virsh_ dominfo "$domain" >/dev/null 2>&1; then
		drift "domain $domain is not defined"
	elif [ ! -e "$definition" ]; then
		drift "domain $domain was not started by this lab yet"
	elif [ "$(definition_now)" != "$(<"$definition")" ]; then
		drift "the definition of domain $domain was edited"
	fi
}

definition_now() { virsh_ dumpxml --inactive "$domain"; }

probe_process() {
	local pid exe facts expected
	pid=$(cat "/run/libvirt/qemu/$domain.pid" 2>/dev/null || :)
	exe=$(readlink "/proc/$pid/exe" 2>/dev/null || :)
	[ "$exe" = "$emulator" ] || drift "domain $domain runs on ${exe:-an unknown program}, not on $emulator"
	[ "$(cat "/proc/$pid/comm" 2>/dev/null || :)" = "$process_name" ] ||
		drift "the process of $domain is named $(cat "/proc/$pid/comm" 2>/dev/null || :), not $process_name"
	# Only looked at: whoever connects to a gdbstub stops the guest.
	ss -Hltnp "src 127.0.0.1:$gdb_port" | grep -q "pid=$pid," ||
		drift "no gdbstub of $domain listens on 127.0.0.1:$gdb_port"
	if held; then return; fi
	if ! guest_answers 10; then
		drift "the guest agent of $domain does not answer"
		return
	fi
	expected=$(<"$root$kernel_prefix/build-id")
	facts=$(guest_build_id || :)
	[ "$facts" = "$expected" ] || drift "$domain runs a kernel with build-id ${facts:-unknown}, gdb's vmlinux has $expected"
}

# held: is the guest stopped by its debugger, so that it cannot answer?
held() { [ "$(state)" = paused ] && { [ "$paused" = 1 ] || debugged; }; }

debugged() { [ -n "$(ss -Htn "src 127.0.0.1:$gdb_port" state established)" ]; }

# The GNU build-id note is the one of type 3: its 20 bytes follow the name "GNU".
guest_build_id() {
	guest_run 'od -An -v -tx1 /sys/kernel/notes' | tr -d ' \n' | grep -oE '040000001400000003000000474e5500[0-9a-f]{40}' | tail -c 41
}

apply() {
	restore_definition
	if [ "$(state)" != running ] && [ "$(state)" != paused ]; then start; fi
	drifts=()
	if answering; then probe_process; fi
	if [ ${#drifts[@]} != 0 ]; then
		say "$domain: $(join '; ' "${drifts[@]}"): starting it again"
		virsh_ destroy "$domain" >/dev/null 2>&1 || :
		start
		drifts=()
		if answering; then probe_process; fi
	fi
	[ ${#drifts[@]} = 0 ] || die "$(join '; ' "${drifts[@]}")" "see the guest's console: ./lab console --log ${domain#"$stack"-}"
	output state "$(state)"
	output pid "$(<"/run/libvirt/qemu/$domain.pid")"
}

restore_definition() {
	if [ ! -e "$overlay" ]; then
		say "$domain: making its disk again: what the guest had written is lost with the old one"
		virsh_ destroy "$domain" >/dev/null 2>&1 || :
		mkdir -p "${overlay%/*}"
		run "making the disk" qemu-img create -q -f qcow2 -F qcow2 -b "$base" "$overlay"
	fi
	if [ ! -e "$definition" ]; then
		definition_now | write_file "$definition" 600
	elif [ "$(definition_now 2>/dev/null || :)" != "$(<"$definition")" ]; then
		say "$domain: defining it as it was"
		run "defining $domain" virsh_ define "$definition"
	fi
}

start() {
	local options=()
	[ "$paused" = 0 ] || options=(--paused)
	run "starting $domain" virsh_ start "$domain" "${options[@]}"
}

# answering: waits for the agent. An emulated guest takes some 8 s, a busy host several times that.
answering() {
	local begun=$SECONDS
	while ! held && ! guest_answers 2; do
		if [ $((SECONDS - begun)) -gt 240 ]; then
			drift "the guest agent of $domain did not answer for 4 minutes"
			return 1
		fi
		[ "$(state)" = running ] || [ "$(state)" = paused ] || {
			drift "domain $domain is $(state)"
			return 1
		}
		sleep 0.2
	done
}

# Whatever was undefined by hand is defined again, so that @pulumi/libvirt finds what it is about to delete.
remove() {
	if [ -e "$definition" ] && ! virsh_ dominfo "$domain" >/dev/null 2>&1; then
		virsh_ define "$definition" >/dev/null 2>&1 || :
	fi
	rm -f "$definition"
	rmdir -p --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || :
}
