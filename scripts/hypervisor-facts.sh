#!/usr/bin/env bash
# By what a guest can tell that it is one, looked at from inside and compared with what is expected.
# Inputs:
#   domain    the domain's name in libvirt
#   uuid      its UUID: another definition is another machine to look at
#   folder    the folder of the domain on this host
#   expected  what a fact must be, by its name, for those that must be something
# Outputs all facts by their names (guest/hypervisor-facts.c); none where the guest is held by its debugger.
# Owns $folder/hypervisor-facts: the boot that was looked at, and its facts.
source lib/guest-agent.sh
# shellcheck disable=SC2154  # an input, which can be empty
: "${uuid:?}" "${folder:?}" "${expected[*]}"

record=$root$folder/hypervisor-facts
program=/lab/bin/hypervisor-facts
clocksource=/sys/devices/system/clocksource/clocksource0/current_clocksource
declare -A facts=()

# Seconds that a clocksource is given to become what is expected: the TSC is refined for a while first.
settling=15

# A guest that its debugger holds cannot be asked; one that is off is the guest step's to say.
probe() {
	guest_answers 5 || return 0
	if [ ! -e "$record" ]; then
		drift "what $domain can tell of its hypervisor was not looked at yet"
	elif known || look; then
		compare
	else
		drift "$domain does not say what it can tell of its hypervisor"
	fi
}

# known: nothing of a boot changes but the clocksource, so a boot that was looked at is asked for that alone: it starts
# no program there.
known() {
	local boot now
	boot=$(boot_now) && [ "$boot" = "$(head -n 1 "$record")" ] || return 1
	now=$(guest_hex "$clocksource" | sed 's/../\\x&/g') && [ -n "$now" ] || return 1
	take < <(tail -n +2 "$record")
	facts[clocksource]=$(printf '%b' "$now")
}

boot_now() { guest_hex /proc/sys/kernel/random/boot_id; }

# look: asks the guest for all.
look() {
	local said
	said=$(guest_run "$program") || return
	take <<<"$said"
}

# take: the facts of standard input, one NAME=VALUE a line.
take() {
	local line
	facts=()
	while read -r line; do facts[${line%%=*}]=${line#*=}; done
}

# compare: a drift for each that is not as expected, and that the guest can still tell.
compare() {
	local name
	while read -r name; do
		[ "${facts[$name]:-none}" = "${expected[$name]}" ] || overwritten "$name" ||
			drift "$name in $domain is ${facts[$name]:-none}, and ${expected[$name]} is expected"
	done < <([ ${#expected[@]} = 0 ] || printf '%s\n' "${!expected[@]}" | sort)
}

# overwritten NAME: the kernel says what it detects once, early in its boot.
overwritten() { [ "$1=${facts[$1]:-}" = kernelDetects=unknown ]; }

apply() {
	local rc=0 begun boot line
	begun=$(seconds_up)
	if ! guest_answers 60; then
		wait_for_boot
		return
	fi
	while :; do
		look || rc=$?
		[ "$rc" = 0 ] || cannot_look "$rc"
		drifts=()
		compare
		# Nothing else can still change.
		case "$(join '; ' "${drifts[@]}")" in
		'clocksource '*) [ $(($(seconds_up) - begun)) -lt "$settling" ] || break ;;
		*) break ;;
		esac
		sleep 1
	done
	say "$step: $domain sees: $(said_facts | paste -s -d ' ')"
	! overwritten kernelDetects || say "$step: kernelDetects is not compared: the start of the guest's dmesg was overwritten"
	[ ${#drifts[@]} = 0 ] || die "$(join '; ' "${drifts[@]}")" "mend hypervisor: or expect: of domain $vm in the stack file"
	boot=$(boot_now) || die "the guest agent of $domain stopped answering" "$see_console"
	{
		printf '%s\n' "$boot"
		said_facts
	} | write_file "$record" 644
	while IFS= read -r line; do output "${line%%=*}" "${line#*=}"; done < <(said_facts)
}

said_facts() {
	local name
	for name in "${!facts[@]}"; do printf '%s=%s\n' "$name" "${facts[$name]}"; done | sort
}

wait_for_boot() {
	only_paused
	rm -f "$record"
	say "$step: $domain is paused: what it can tell of its hypervisor is looked at by the first up after its boot"
}

cannot_look() {
	[ "$1" != 127 ] || die "$domain has no $program" "$(lab_command) up builds it and shows it to the guest"
	die "$program in $domain failed (exit $1)" "see what it says: $(lab_command) exec $vm -- $program"
}

# It goes with the guest.
remove() {
	rm -f "$record"
	rmdir -p --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || :
}
