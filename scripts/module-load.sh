#!/usr/bin/env bash
# The lab's modules, loaded in a running guest: the very builds that are installed there, by their build-id.
# Inputs:
#   domain   the domain's name in libvirt
#   folder   the folder of the domain on this host
#   modules  build prefix of each module, by module name
#   paused   1: the domain is paused at boot; its modules are loaded when it boots
# Owns what is loaded in the guest, and $folder/loaded, the names.
source lib/built.sh
source lib/guest-agent.sh
: "${folder:?}" "${!modules[*]}" "${paused:?}"

record=$root$folder/loaded

# A guest that its debugger holds cannot be asked; one that is off is the guest step's to say.
probe() { if guest_answers 5; then compare; fi; }

compare() {
	local name note answers
	for name in $(recorded); do
		[ -n "${modules[$name]:-}" ] || drift "module $name of $domain is not one of this domain's any more"
	done
	while read -r name; do
		answers=0
		note=$(guest_hex "/sys/module/${name//-/_}/notes/.note.gnu.build-id") || answers=$?
		if [ "$answers" = 255 ]; then
			drift "the guest agent of $domain does not say what is loaded"
			return
		elif [ -z "$note" ]; then
			drift "module $name is not loaded in $domain"
		# Without a build there is nothing to compare with, and its own step says so.
		elif as_built "$root${modules[$name]}/$name.ko" && [ "${note: -40}" != "$(built "$name")" ]; then
			drift "module $name in $domain is not the build that is installed"
		fi
	done < <([ ${#modules[@]} = 0 ] || printf '%s\n' "${!modules[@]}" | sort)
}

recorded() { cat "$record" 2>/dev/null || :; }

built() { readelf -n "$root${modules[$1]}/$1.ko" 2>/dev/null | awk '/Build ID:/ {print $3; exit}'; }

apply() {
	local name changed=''
	if ! guest_answers 60; then
		wait_for_boot
		return
	fi
	for name in $(recorded); do
		[ -z "${modules[$name]:-}" ] || continue
		unload "$name"
		changed=1
	done
	# Before they are loaded: a kill in between must not leave one that nothing unloads.
	if [ ${#modules[@]} = 0 ]; then rm -f "$record"; else printf '%s\n' "${!modules[@]}" | sort | write_file "$record" 644; fi
	drifts=()
	compare
	for name in $(recorded); do
		case "; $(join '; ' "${drifts[@]}")" in
		*"; module $name "*)
			reload "$name"
			changed=1
			;;
		esac
	done
	drifts=()
	compare
	[ ${#drifts[@]} = 0 ] || die "$(join '; ' "${drifts[@]}")" "$guests_log"
	[ -n "$changed" ] || say "$step: the modules of $domain are up to date"
}

guests_log="see the guest's log: $(lab_command) exec $vm -- dmesg"

wait_for_boot() {
	only_paused
	if [ "$paused" = 1 ]; then
		say "$step: $domain is paused: its modules are loaded when it boots"
	else
		say "$step: $domain is held by a debugger: its modules wait for the next up"
	fi
}

# Scripts for the guest, each in one shell: a program takes an emulated guest a tenth of a second. A module with a dash
# in its name ($1) has an underscore in /sys/module ($2).
# shellcheck disable=SC2016  # expanded in the guest
out='[ ! -e "/sys/module/$2" ] || rmmod "$1" 2>&1 || exit 99'

reload() {
	# shellcheck disable=SC2016  # expanded in the guest
	in_guest "$1" "$out"'; modprobe "$1" 2>&1'
	say "$step: loaded module $1 in $domain"
}

unload() { in_guest "$1" "$out"; }

# in_guest NAME SCRIPT: the guest's own words stand before the error.
in_guest() {
	local words rc=0
	words=$(guest_run "$2" "$1" "${1//-/_}") || rc=$?
	[ "$rc" = 0 ] || [ -z "$words" ] || say "  | ${words//$'\n'/$'\n'  | }"
	case $rc in
	0) ;;
	99) die "the guest $domain cannot unload module $1" \
		"stop what uses it ($(lab_command) exec $vm -- lsmod), then run up again" ;;
	*) die "the guest $domain cannot load module $1" "$guests_log" ;;
	esac
}

# The modules go with the guest, whose disk goes next.
remove() {
	rm -f "$record"
	rmdir -p --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || :
}
