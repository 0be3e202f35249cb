#!/usr/bin/env bash
# Debian packages that the lab needs on the host.
# Input:
#   packages  array of names
# Owns on the host: the packages that steps had to install (lib/packages.sh), with their dependencies, users and groups. They
# are purged with the last stack that uses them, unless something else has come to need one. Packages that were there
# stay as they are, marks included.
source lib/packages.sh
source lib/service.sh
: "${packages[*]:?}"

probe() {
	local missing
	mapfile -t missing < <(not_installed "${packages[@]}")
	if [ ${#missing[@]} != 0 ]; then
		drift "packages not installed: ${missing[*]}"
	else
		ledger_probe packages
	fi
}

apply() {
	local missing
	lock packages
	ledger_claim packages "$(installed)"
	if [ -e "$entry/planned" ] && is_interrupted; then
		await_dpkg
		mend_dpkg
	fi
	mapfile -t missing < <(not_installed "${packages[@]}")
	if [ ${#missing[@]} = 0 ]; then
		say "$step: all packages are installed"
	else
		install_packages "${missing[@]}"
	fi
	note_accounts
}

# The first step to be applied is the last one to go, and the last stack's takes the lab's empty folders along.
remove() {
	lock packages
	ledger_mend packages
	if ledger_last packages && [ -e "$entry/planned" ]; then
		await_dpkg
		mend_dpkg
		note_accounts
		purge_ours
		remove_leftovers
		remove_accounts
	fi
	ledger_release packages
	if ledger_owned packages; then
		say "$step: packages are kept: another stack uses them"
	elif [ -d "$state_dir" ]; then
		find "$state_dir" -mindepth 1 -depth -type d -empty -delete
	fi
}

# on_disk: names of the packages of which anything is there, sorted; an installation that was killed leaves
# them unpacked, a removal leaves their configuration.
on_disk() { in_state '.[^n].' | sort -u; }

purge_ours() {
	local ours
	mapfile -t ours < <(on_disk | among_planned)
	[ ${#ours[@]} = 0 ] || mapfile -t ours < <(removable "${ours[@]}")
	[ ${#ours[@]} -gt 0 ] || return 0
	stop_daemons "${ours[@]}"
	say "$step: purging ${#ours[@]} packages"
	run "purging ${ours[*]}" apt_get -o APT::Status-Fd=5 --allow-remove-essential purge "${ours[@]}" 5> >(progress)
}

# removable NAME…: those that can be purged without anything else going along. What else would go keeps all that
# it depends on.
removable() {
	local ours=("$@") kept outside needed
	mapfile -t outside < <(in_use "${ours[@]}")
	while :; do
		if [ ${#outside[@]} -gt 0 ]; then
			mapfile -t needed < <(apt_cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts \
				--no-breaks --no-replaces --no-enhances "${outside[@]}" | grep '^[a-z0-9]' | sed 's/:.*//' | sort -u)
			mapfile -t kept < <(comm -12 <(printf '%s\n' "${ours[@]}" | sort -u) <(printf '%s\n' "${needed[@]}"))
			[ ${#kept[@]} -gt 0 ] || die "cannot tell why ${outside[*]} would be removed" "see apt-get -s purge ${ours[*]}"
			say "$step: kept, because ${outside[*]} needs it: ${kept[*]}"
			mapfile -t ours < <(comm -23 <(printf '%s\n' "${ours[@]}" | sort -u) <(printf '%s\n' "${kept[@]}"))
		fi
		[ ${#ours[@]} -gt 0 ] || return 0
		mapfile -t outside < <(apt_get -s --allow-remove-essential purge "${ours[@]}" |
			sed -nE 's/^(Purg|Remv) ([^ :]+)(:[^ ]+)? .*/\2/p' | sort -u | comm -13 <(printf '%s\n' "${ours[@]}" | sort -u) -)
		[ ${#outside[@]} -gt 0 ] || break
	done
	printf '%s\n' "${ours[@]}"
}

# in_use NAME…: those of the packages that run something which is not the lab's.
in_use() {
	local domains sessions
	mapfile -t domains < <(running_domains)
	[ ${#domains[@]} = 0 ] || ! among libvirt-daemon-system "$@" || {
		say "$step: libvirt stays: domains are running: ${domains[*]}"
		printf 'libvirt-daemon-system\n'
	}
	sessions=$(session_names)
	[ -z "$sessions" ] || ! among lttng-tools "$@" || {
		say "$step: LTTng stays: root's session daemon has sessions: $sessions"
		printf 'lttng-tools\n'
	}
}

stop_daemons() {
	lock services
	# virtlogd may be there without it.
	if among libvirt-daemon "$@"; then service_stop libvirtd; fi
	if among lttng-tools "$@" && service_running lttng-sessiond; then service_stop lttng-sessiond; fi
}

# remove_leftovers: those of them that weren't there before the first installation, and whose packages are gone.
remove_leftovers() {
	local path of
	[ -e "$entry/leftovers-before" ] || return 0
	while read -r path; do
		of=${generated[$path]:-${folders[$path]}}
		if any_like "$of" < <(on_disk); then
			say "$step: kept with its package: $path"
		elif [ -n "${generated[$path]:-}" ]; then
			rm -rf --one-file-system "$root$path"
		else
			find "$root$path" -depth -type d -empty -delete
			[ ! -e "$root$path" ] || say "$step: kept, because it holds files: $path"
		fi
	done < <(comm -13 "$entry/leftovers-before" <(leftovers))
}

# any_like PATTERN: is there one like it among the lines of standard input?
any_like() {
	local line
	while read -r line; do
		# shellcheck disable=SC2053  # it is a pattern
		if [[ $line == $1 ]]; then return 0; fi
	done
	return 1
}

# remove_accounts: but for those that a package of ours which is kept makes. Users first, a user's own group may go with it.
remove_accounts() {
	local kind name makers end='($|[^[:alnum:]_-])'
	[ -e "$entry/accounts" ] || return 0
	mapfile -t makers < <(account_makers)
	while read -r kind name; do
		if [ ${#makers[@]} -gt 0 ] && grep -qsE -- "(^|[^[:alnum:]_-])$name$end" "${makers[@]}"; then
			say "$step: kept with its package: the ${kind/passwd/user} $name"
			continue
		fi
		remove_overrides "$kind" "$name"
		! grep -qs "^$name:" "$root/etc/$kind" || case $kind in
		passwd) attempt "user $name" userdel "$name" ;;
		group) attempt "group $name" groupdel "$name" ;;
		esac
	done < <(sort -r "$entry/accounts")
}

# account_makers: the files in which packages of ours that are still there have the accounts that they make.
account_makers() {
	local name
	while read -r name; do
		dpkg-query --control-path "$name" postinst 2>/dev/null || :
		dpkg-query -L "$name" 2>/dev/null | grep '/sysusers\.d/' || :
	done < <(on_disk | among_planned)
}

# remove_overrides KIND NAME: SystemTap and D-Bus leave theirs behind, and dpkg does nothing at all any more once an
# override names an account that is gone.
remove_overrides() {
	local column=1 path
	[ "$1" = passwd ] || column=2
	while read -r path; do
		attempt "dpkg's override of $path" dpkg-statoverride --quiet --remove "$path"
	done < <(dpkg-statoverride --list 2>/dev/null | awk -v column="$column" -v name="$2" '$column == name {print $4}')
}

attempt() {
	local what=$1 error
	shift
	error=$("$@" 2>&1 </dev/null) || say "$step: kept $what: ${error##*$'\n'}"
}

apt_cache() { apt-cache "${apt_cache_options[@]}" "$@"; }

among() {
	local wanted=$1 each
	shift
	for each in "$@"; do
		if [ "$each" = "$wanted" ]; then return 0; fi
	done
	return 1
}
