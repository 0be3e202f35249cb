#!/usr/bin/env bash
# Debian packages that the lab needs on the host.
# Input:
#   packages  array of names
# Owns on the host: the packages that it had to install, with their dependencies, users and groups. They are
# noted in the ledger entry `packages` before the installation starts, and purged with the last stack that uses
# them, unless something else has come to need one. Packages that were there stay as they are, marks included.
# The .deb files stay in /var/cache/tracelab/apt, so that the next installation downloads nothing.
# No jq here: this script is what installs it.
source lib/debian.sh
source lib/ledger.sh
source lib/service.sh
: "${packages[*]:?}"

entry=$state_dir/ledger/packages

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
	local ours=()
	lock packages
	if ledger_last packages; then
		note_accounts
		[ ! -e "$entry/planned" ] || mapfile -t ours < <(comm -12 <(on_disk) <(sort -u "$entry/planned"))
		[ ${#ours[@]} = 0 ] || purge "${ours[@]}"
	fi
	ledger_release packages
	if ledger_owned packages; then
		say "$step: packages are kept: another stack uses them"
	elif [ -d "$state_dir" ]; then
		find "$state_dir" -mindepth 1 -depth -type d -empty -delete
	fi
}

# installed: names of the packages that are there, whole, sorted.
installed() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^.i  //p' | sort -u; }

# on_disk: names of the packages of which anything is there, sorted; an installation that was killed leaves
# them unpacked, a removal leaves their configuration.
on_disk() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^.[^n]. //p' | sort -u; }

# not_installed NAME…: those that are absent or not whole.
not_installed() { comm -23 <(printf '%s\n' "$@" | sort -u) <(installed); }

install_packages() {
	local plan=$entry/plan.part
	await_dpkg
	mend_dpkg
	if ! apt_get -s install "$@" >"$plan" 2>/dev/null; then
		say "$step: reading the package lists"
		read_lists
		run "planning the installation of $*" apt_get -s install "$@"
		apt_get -s install "$@" >"$plan"
	fi
	journal <"$plan"
	say "$step: installing $(grep -c '^Inst ' "$plan") packages"
	rm "$plan"
	mkdir -p "${log_file%/*}"
	await_lock "the lock of $cache_dir/apt/archives" "$cache_dir/apt/archives/lock"
	drop_altered "$@"
	if ! apt_get --download-only install "$@" >>"$log_file" 2>&1 </dev/null; then
		# The lists may name versions that the archive has replaced since.
		read_lists
		apt_get -s install "$@" | journal
		drop_altered "$@"
		run "downloading $*" apt_get --download-only install "$@"
	fi
	run "installing $*" apt_get -o APT::Status-Fd=5 --no-download install "$@" 5> >(progress)
}

read_lists() {
	await_lock "the lock of apt's lists" "$root/var/lib/apt/lists/lock"
	run "apt-get update" apt_get update
}

# drop_altered NAME…: those of the .deb files that are kept which are not as apt's signed lists have them. apt takes one of the right
# size for the right one; asked with another cache, which is empty, it lists them all.
drop_altered() {
	local sum file
	while read -r sum file; do
		file=$cache_dir/apt/archives/$file
		if [ -e "$file" ] && ! has_sum "$file" "$sum"; then rm "$file"; fi
	done < <(apt_get -o Dir::Cache::archives=none -o Acquire::ForceHash=SHA256 --print-uris install "$@" 2>/dev/null | sums_of_uris)
}

# journal: adds to the ledger what a simulation says will be new, who has an account now, and which leftovers
# are there, before anything is done. A line with the old version in brackets is an upgrade: that package was there.
journal() {
	{
		cat "$entry/planned" 2>/dev/null || :
		sed -nE 's/^Inst ([^ :]+)(:[^ ]+)? \(.*/\1/p' | comm -23 <(sort -u) "$entry/before"
	} | sort -u | write_file "$entry/planned" 644
	[ -e "$entry/accounts-before" ] || accounts | write_file "$entry/accounts-before" 644
	[ -e "$entry/leftovers-before" ] || leftovers | write_file "$entry/leftovers-before" 644
}

# accounts: `passwd NAME` and `group NAME` for all in the files, sorted.
accounts() {
	local file
	for file in passwd group; do
		sed "s/^\([^:]*\):.*/$file \1/" "$root/etc/$file" 2>/dev/null || :
	done | sort -u
}

# note_accounts: those that appeared with an installation that has ended since, whoever's run it was.
note_accounts() {
	[ -e "$entry/accounts-before" ] || return 0
	{
		cat "$entry/accounts" 2>/dev/null || :
		comm -13 "$entry/accounts-before" <(accounts)
	} | sort -u | write_file "$entry/accounts" 644
	rm "$entry/accounts-before"
}

purge() {
	local ours=("$@")
	mapfile -t ours < <(removable "${ours[@]}")
	[ ${#ours[@]} -gt 0 ] || return 0
	await_dpkg
	mend_dpkg
	stop_daemons "${ours[@]}"
	say "$step: purging ${#ours[@]} packages"
	run "purging ${ours[*]}" apt_get -o APT::Status-Fd=5 --allow-remove-essential purge "${ours[@]}" 5> >(progress)
	remove_leftovers
	remove_accounts
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
	local domains
	mapfile -t domains < <(running_domains)
	[ ${#domains[@]} = 0 ] || ! among libvirt-daemon-system "$@" || {
		say "$step: libvirt stays: domains are running: ${domains[*]}"
		printf 'libvirt-daemon-system\n'
	}
}

stop_daemons() {
	lock services
	if among libvirt-daemon "$@" && service_running libvirtd; then service_stop libvirtd; fi
	if among lttng-tools "$@" && service_running lttng-sessiond; then service_stop lttng-sessiond; fi
}

# What packages make by themselves and don't take along when they are purged: what goes whole, and folders that
# go unless somebody put a file in them, such as a disk image in /var/lib/libvirt/images.
generated=(
	/etc/apparmor.d/libvirt /etc/apparmor.d/local/abstractions/libvirt-lxc /etc/apparmor.d/local/abstractions/libvirt-qemu
	/run/libvirt /var/cache/libvirt /var/log/libvirt # libvirt-daemon-system
	/run/lttng                                       # lttng-tools
	/etc/machine-id /etc/mtab                        # systemd
)
folders=(
	/etc/libvirt /var/lib/libvirt /etc/apparmor.d                                             # libvirt-daemon-system
	/etc/xml                                                                                  # xml-core
	/var/cache/private /var/lib/machines /var/lib/portables /var/lib/private /var/log/private # systemd
)

# leftovers: prints which of these are there.
leftovers() {
	local path
	for path in "${generated[@]}" "${folders[@]}"; do
		if [ -e "$root$path" ] || [ -L "$root$path" ]; then printf '%s\n' "$path"; fi
	done | sort
}

# remove_leftovers: those of them that weren't there before the first installation.
remove_leftovers() {
	local path
	while read -r path; do
		if among "$path" "${generated[@]}"; then
			rm -rf --one-file-system "$root$path"
		else
			find "$root$path" -depth -type d -empty -delete
			[ ! -e "$root$path" ] || say "$step: kept, because it holds files: $path"
		fi
	done < <(comm -13 "$entry/leftovers-before" <(leftovers))
}

# remove_accounts: users first, a user's own group may go with it.
remove_accounts() {
	local kind name
	[ -e "$entry/accounts" ] || return 0
	while read -r kind name; do
		remove_overrides "$kind" "$name"
		! grep -qs "^$name:" "$root/etc/$kind" || case $kind in
		passwd) attempt "user $name" userdel "$name" ;;
		group) attempt "group $name" groupdel "$name" ;;
		esac
	done < <(sort -r "$entry/accounts")
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

# Seconds that somebody else may hold a lock of dpkg's or apt's.
lock_wait=600

# await_dpkg: until nobody else installs or removes packages.
await_dpkg() { await_lock "dpkg's lock" "$root/var/lib/dpkg/lock-frontend"; }

# await_lock WHICH FILE: until nobody else holds it. apt waits by itself for dpkg's alone, and tells nobody for whom.
await_lock() {
	local holder begun=$SECONDS said=''
	while holder=$(lock_holder "$2") && [ -n "$holder" ]; do
		[ $((SECONDS - begun)) -lt "$lock_wait" ] ||
			die "$holder has held $1 for $lock_wait s" "let it end (or end it), then run up again"
		if [ -z "$said" ] || [ $((SECONDS - said)) -ge 15 ]; then
			say "$step: waiting for $holder, which holds $1"
			said=$SECONDS
		fi
		sleep 1
	done
}

lock_holder() {
	lslocks --raw --noheadings --output PID,COMMAND,PATH 2>/dev/null |
		awk -v lock="$1" '$3 == lock {print "process " $1 " (" $2 ")"; exit}' || :
}

# mend_dpkg: finishes what a killed run left half done.
mend_dpkg() { [ -z "$(dpkg --audit 2>/dev/null)" ] || run "dpkg --configure -a" dpkg_frontend dpkg --configure -a --force-confdef --force-confold; }

dpkg_frontend() { DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none "$@"; }

# A cache of our own, whatever the host's configuration does with its own (containers empty it). Unsafe I/O
# saves dpkg a sync a file; a host that loses power within this minute repeats the step.
apt_get() {
	mkdir -p "$cache_dir/apt/archives"
	dpkg_frontend apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-unsafe-io -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
		-o APT::Keep-Downloaded-Packages=true -o APT::Get::AutomaticRemove=false -o Acquire::Languages=none \
		"${apt_cache_options[@]}" "$@"
}

apt_cache() { apt-cache "${apt_cache_options[@]}" "$@"; }

apt_cache_options=(
	-o "Dir::Cache=$cache_dir/apt" -o Dir::Cache::archives=archives
	-o Dir::Cache::pkgcache=pkgcache.bin -o Dir::Cache::srcpkgcache=srcpkgcache.bin
)

# progress: reads apt's status lines (kind:package:percent:text) and says every 5 s how far it is.
progress() {
	local percent begun=$SECONDS said=$SECONDS spent
	while IFS=: read -r _ _ percent _; do
		percent=${percent%%.*}
		spent=$((SECONDS - begun))
		if [ $((SECONDS - said)) -lt 5 ] || [ "${percent:-0}" = 0 ]; then continue; fi
		said=$SECONDS
		say "$step: $percent %, $((spent * (100 - percent) / percent)) s left"
	done
}

among() {
	local wanted=$1 each
	shift
	for each in "$@"; do
		if [ "$each" = "$wanted" ]; then return 0; fi
	done
	return 1
}
