#!/usr/bin/env bash
# The lab's modules, loaded in a running guest: the very builds that are installed there, by their build-id.
# Inputs:
#   domain   the domain's name in libvirt
#   folder   the folder of the domain on this host
#   modules  build prefix of each module, by module name
#   paused   1: the domain is paused at boot; its modules are loaded when it boots
# Owns what is loaded in the guest, and $folder/loaded, the names.
source lib/guest-agent.sh
: "${folder:?}" "${!modules[*]}" "${paused:?}"

record=$root$folder/loaded

# What the guest says of each module given: "NAME BUILD-ID-NOTE", the note empty where it is not loaded.
# shellcheck disable=SC2016  # expanded in the guest
ask='for m; do printf "%s " "$m"; od -An -v -tx1 "/sys/module/$m/notes/.note.gnu.build-id" 2>/dev/null | tr -d " \n"; echo; done'

probe() {
	local name note said
	if ! reachable; then return; fi
	for name in $(cat "$record" 2>/dev/null || :); do
		[ -n "${modules[$name]:-}" ] || drift "module $name of $domain is not one of this domain's any more"
	done
	[ ${#modules[@]} != 0 ] || return 0
	said=$(guest_run "$ask" "${!modules[@]}")
	while read -r name note; do
		if [ -z "$note" ]; then
			drift "module $name is not loaded in $domain"
		elif [ "${note: -40}" != "$(built "$name")" ]; then
			drift "module $name in $domain is not the build that is installed"
		fi
	done <<<"$said"
}

# A guest that its debugger holds cannot be asked; one that is off is the guest step's to say.
reachable() { [ "$(virsh_ domstate "$domain" 2>/dev/null | head -n 1)" = running ] && guest_answers 5; }

built() { readelf -n "$root${modules[$1]}/$1.ko" 2>/dev/null | awk '/Build ID:/ {print $3; exit}'; }

apply() {
	local name
	drifts=()
	if ! reachable; then
		[ "$paused" = 1 ] || say "$domain is held by a debugger: its modules wait for the next up"
		return
	fi
	for name in $(cat "$record" 2>/dev/null || :); do
		[ -n "${modules[$name]:-}" ] || unload "$name"
	done
	probe
	for name in "${!modules[@]}"; do
		case "; $(join '; ' "${drifts[@]}")" in
		*"; module $name "*)
			unload "$name"
			# shellcheck disable=SC2016  # expanded in the guest
			guest_run 'modprobe "$1"' "$name" 2> >(sed 's/^/  | /' >&2) ||
				die "the guest $domain cannot load module $name" "see the guest's log: ./lab exec ${domain#"$stack"-} -- dmesg"
			;;
		esac
	done
	if [ ${#modules[@]} = 0 ]; then rm -f "$record"; else printf '%s\n' "${!modules[@]}" | sort | write_file "$record" 644; fi
	drifts=()
	probe
	[ ${#drifts[@]} = 0 ] || die "$(join '; ' "${drifts[@]}")" "see the guest's log: ./lab exec ${domain#"$stack"-} -- dmesg"
}

unload() {
	# shellcheck disable=SC2016  # expanded in the guest
	guest_run '[ ! -e "/sys/module/$1" ] || rmmod "$1"' "$1" ||
		die "the guest $domain cannot unload module $1" "stop what uses it (./lab exec ${domain#"$stack"-} -- lsmod), then run up again"
}

# The modules go with the guest, whose disk goes next.
remove() {
	rm -f "$record"
}
