#!/usr/bin/env bash
# The lab's modules, loaded in a running guest: the very builds that are installed there, by their build-id. That holds
# for all of them that the guest has loaded, such as one that modprobe loaded as another one needs it.
# Inputs:
#   domain     the domain's name in libvirt
#   folder     the folder of the domain on this host
#   installed  build prefix of each module, or set of modules, by its name in the stack file
#   modules    build prefix of each module that is to be loaded, by module name
#   paused     1: the domain is paused at boot; its modules are loaded when it boots
# Owns what is loaded in the guest, and $folder/loaded, the names.
source lib/built.sh
source lib/guest-agent.sh
: "${folder:?}" "${installed[*]-}" "${modules[*]-}" "${paused:?}"

record=$root$folder/loaded

# All by the kernel's names of modules, where - is _. Of the lab's: the file, which are to be loaded, and which are not loaded
# as they should be.
declare -A files=() loads=()
stale=()
# Did the guest not say?
unseen=''
# Of all that the guest has loaded: how often it is in use, and by which modules.
declare -A uses=() users=()

# A guest that its debugger holds cannot be asked; one that is off is the guest step's to say.
probe() { if guest_answers 5; then compare; fi; }

compare() {
	local name
	stale=() unseen=''
	find_files
	for name in $(recorded); do
		is_wanted "$name" || drift "module $name of $domain is not one of this domain's any more"
	done
	[ ${#files[@]} != 0 ] || [ -n "$(recorded)" ] || return 0
	if ! what_is_loaded || ! compare_builds; then
		drift "the guest agent of $domain does not say what is loaded"
		unseen=1
	fi
}

recorded() { cat "$record" 2>/dev/null || :; }

wanted() { [ ${#modules[@]} = 0 ] || printf '%s\n' "${!modules[@]}" | sort; }

find_files() {
	local prefix file name
	files=() loads=()
	for prefix in "${installed[@]}"; do
		for file in "$root$prefix"/*.ko; do
			name=${file##*/} name=${name%.ko}
			[ ! -e "$file" ] || files[${name//-/_}]=$file
		done
	done
	for name in "${!modules[@]}"; do
		files[${name//-/_}]=$root${modules[$name]}/$name.ko
		loads[${name//-/_}]=1
	done
}

is_wanted() { [ -n "${loads[${1//-/_}]:-}" ]; }

# shown NAME: as its file has it.
shown() { basename "${files[$1]:-$1}" .ko; }

what_is_loaded() {
	local listing name used by
	uses=() users=()
	# A kernel that can load none has no such file.
	listing=$(guest_file /proc/modules) || [ $? = 1 ] || return
	while read -r name _ used by _; do
		[ -n "$name" ] || continue
		uses[$name]=$used
		by=${by//'[permanent]'/}
		# The guest's own words may be shown, and copied to a shell.
		by=${by//[^A-Za-z0-9_,-]/?}
		users[$name]=${by//[,-]/ }
	done <<<"$listing"
}

# compare_builds: fails where the agent stops answering.
compare_builds() {
	local name id loaded=() notes
	local -A built=() there=()
	while read -r name; do
		if [ -n "${uses[$name]:-}" ]; then
			loaded+=("$name")
		elif is_wanted "$name"; then
			drift "module $(shown "$name") is not loaded in $domain"
			stale+=("$name")
		fi
	done < <([ ${#files[@]} = 0 ] || printf '%s\n' "${!files[@]}" | sort)
	[ ${#loaded[@]} != 0 ] || return 0
	notes=$(loaded_notes "${loaded[@]}") || return
	while read -r name id; do built[$name]=$id; done < <(built_ids "${loaded[@]}")
	while read -r name id; do [ -z "$name" ] || there[$name]=${id: -40}; done <<<"$notes"
	for name in "${loaded[@]}"; do
		id=${there[$name]:-}
		# Without a build there is nothing to compare with, and its own step says so.
		if [ "${built[$name]:-$id}" != "$id" ] && as_built "${files[$name]}"; then
			drift "module $(shown "$name") in $domain is not the build that is installed"
			stale+=("$name")
		fi
	done
}

# loaded_notes NAME…: each with its build-id's note, in hexadecimal, where it has one. Of many, such as LTTng's, one program reads them: a
# file takes the agent two calls, and a program an emulated guest a third of a second.
loaded_notes() {
	local name note said=()
	if [ $# -gt 3 ]; then
		note=$(guest_run "$read_notes" "$@") || return
		mapfile -t said <<<"$note"
		note=$((${#said[@]} / 2))
		paste -d ' ' <(printf '%s\n' "${said[@]:0:note}") <(printf '%s\n' "${said[@]:note}" | tr -d ' ')
		return
	fi
	for name in "$@"; do
		note=$(guest_hex "/sys/module/$name/notes/.note.gnu.build-id") || [ $? = 1 ] || return
		printf '%s %s\n' "$name" "$note"
	done
}

# The names, and then the notes, which have 36 bytes each.
# shellcheck disable=SC2016  # expanded in the guest
read_notes='cd /sys/module
for name; do
	shift
	[ ! -e "$name/notes/.note.gnu.build-id" ] || { echo "$name"; set -- "$@" "$name/notes/.note.gnu.build-id"; }
done
[ $# = 0 ] || exec od -An -v -tx1 -w36 "$@"'

# built_ids NAME…: each with the build-id of its file, where it has one.
built_ids() {
	local name those=()
	for name in "$@"; do those+=("${files[$name]}"); done
	# Of one file, readelf does not say which.
	readelf -n "${those[@]}" 2>/dev/null | awk -v "file=${those[0]}" '/^File: / {file = substr($0, 7)}
		/Build ID:/ {gsub(/.*\/|\.ko$/, "", file); gsub(/-/, "_", file); print file, $3}' || :
}

apply() {
	local name leaving=() out=() in=()
	if ! guest_answers 60; then
		wait_for_boot
		return
	fi
	compare
	[ -z "$unseen" ] || die "the guest agent of $domain does not say what is loaded" "$see_console"
	for name in $(recorded); do is_wanted "$name" || leaving+=("${name//-/_}"); done
	# Before they are loaded: a kill in between must not leave one that nothing unloads.
	{ recorded && wanted; } | write_record
	for name in "${leaving[@]}" "${stale[@]}"; do unloads "$name"; done
	for name in "${out[@]}" "${stale[@]}"; do
		[[ " ${leaving[*]} ${in[*]} " == *" $name "* ]] || in+=("$name")
	done
	if [ ${#out[@]} != 0 ] || [ ${#in[@]} != 0 ]; then change; fi
	wanted | write_record
	drifts=()
	compare
	[ ${#drifts[@]} = 0 ] || die "$(join '; ' "${drifts[@]}")" "$guests_log"
	[ ${#out[@]} != 0 ] || [ ${#in[@]} != 0 ] || say "$step: the modules of $domain are up to date"
}

write_record() {
	local names
	names=$(sort -u)
	if [ -z "$names" ]; then rm -f "$record"; else write_file "$record" 644 <<<"$names"; fi
}

# unloads NAME: puts it into `out`, behind the lab's own modules that use it, which are loaded again. Nothing is unloaded
# where one of them is in use otherwise.
unloads() {
	local name=$1 user by
	[ -n "${uses[$name]:-}" ] && [[ " ${out[*]} " != *" $name "* ]] || return 0
	read -ra by <<<"${users[$name]}"
	for user in "${by[@]}"; do
		[ -n "${files[$user]:-}" ] || [[ " ${leaving[*]} " == *" $user "* ]] ||
			die "the guest $domain cannot unload module $(shown "$name"), which module $user uses" \
				"unload that one ($(lab_command) exec $vm -- rmmod $user), then run up again"
		unloads "$user"
	done
	[ "${uses[$name]}" = ${#by[@]} ] || in_use "$name"
	out+=("$name")
}

in_use() {
	local in_guest stop
	in_guest="$(lab_command) exec $vm --"
	stop="stop what uses it ($in_guest lsmod)"
	# lsmod names no program. The daemon unloads them all when it ends.
	[[ $1 != lttng_* ]] ||
		stop="stop the guest's session daemon, and with it what it records ($in_guest systemctl stop lttng-sessiond)"
	die "the guest $domain cannot unload module $(shown "$1")" \
		"$stop, or end the guest ($in_guest poweroff), then run up again"
}

guests_log="see the guest's log: $(lab_command) exec $vm -- dmesg"
# ./lab exec goes by the lab card, which the first up writes at its end; the console has the kernel's words, too.
[ -e "$state_dir/labs/$stack.json" ] || guests_log=$see_console

wait_for_boot() {
	only_paused
	if [ "$paused" = 1 ]; then
		say "$step: $domain is paused: its modules are loaded when it boots"
	else
		say "$step: $domain is held by a debugger: its modules wait for the next up"
	fi
}

# For the guest, in one shell: a program takes an emulated guest a tenth of a second. One module that is loaded may have
# brought the next ones along. The last word is that of the module that failed.
# shellcheck disable=SC2016  # expanded in the guest
changes='for name in $1; do
	[ ! -e "/sys/module/$name" ] || rmmod "$name" 2>&1 || { echo "$name"; exit 99; }
done
shift
failed=
for name; do
	[ -e "/sys/module/$name" ] || modprobe "$name" 2>&1 || failed=${failed:-$name}
done
[ -z "$failed" ] || { echo "$failed"; exit 98; }'

# change: unloads what is in `out`, loads what is in `in`. The guest's own words stand before the error.
change() {
	local words name rc=0
	words=$(guest_run "$changes" "${out[*]}" "${in[@]}") || rc=$?
	name=${words##*$'\n'}
	words=${words%"$name"} words=${words%$'\n'}
	[ "$rc" = 0 ] || [ -z "$words" ] || say "  | ${words//$'\n'/$'\n'  | }"
	case $rc in
	0) for name in "${in[@]}"; do say "$step: loaded module $(shown "$name") in $domain"; done ;;
	98) die "the guest $domain cannot load module $(shown "$name")" "$guests_log" ;;
	99) in_use "$name" ;;
	*) die "the guest agent of $domain stopped answering" "$see_console" ;;
	esac
}

# The modules go with the guest, whose disk goes next.
remove() {
	rm -f "$record"
	rmdir -p --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || :
}
