#!/usr/bin/env bash
# Debian packages that a step installs on the host. They are noted in the ledger entry `packages` before the installation starts;
# the step host-packages has it claimed by then, and purges them in the end. Callers hold `lock packages`.
# The .deb files stay in /var/cache/tracelab/apt, so that the next installation downloads nothing.
# No jq here: this is what installs it.
source lib/debian.sh

entry=$state_dir/ledger/packages

# installed: names of the packages that are there, whole, sorted.
installed() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -n 's/^.i  //p' | sort -u; }

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
	say "$step: installing $(grep -c '^Inst ' "$plan") packages"
	mkdir -p "${log_file%/*}"
	await_lock "the lock of $cache_dir/apt/archives" "$cache_dir/apt/archives/lock"
	drop_altered "$@"
	if ! apt_get --download-only install "$@" >>"$log_file" 2>&1 </dev/null; then
		# The lists may name versions that the archive has replaced since.
		read_lists
		apt_get -s install "$@" >"$plan"
		drop_altered "$@"
		run "downloading $*" apt_get --download-only install "$@"
	fi
	journal <"$plan"
	rm "$plan"
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
# are there, right before anything is done: whatever came while it was downloaded is somebody else's. A line with the old version in brackets is an upgrade: that package was there.
journal() {
	{
		cat "$entry/planned" 2>/dev/null || :
		sed -nE 's/^Inst ([^ :]+)(:[^ ]+)? \(.*/\1/p' | comm -23 <(sort -u) "$entry/before"
	} | sort -u | write_file "$entry/planned" 644
	[ -e "$entry/accounts-before" ] || accounts | write_file "$entry/accounts-before" 644
	[ -e "$entry/leftovers-before" ] || leftovers | write_file "$entry/leftovers-before" 644
}

# accounts: `passwd NAME` and `group NAME` for all in the files that packages make, sorted; people have 1000 to 59999.
accounts() {
	local file
	for file in passwd group; do
		awk -F : -v "kind=$file" '$3 < 1000 || $3 > 59999 {print kind, $1}' "$root/etc/$file" 2>/dev/null || :
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

# Seconds that somebody else may hold a lock of dpkg's or apt's.
lock_wait=600

# await_dpkg: until nobody else installs or removes packages.
await_dpkg() { await_lock "dpkg's lock" "$root/var/lib/dpkg/lock-frontend"; }

# await_lock WHICH FILE: until nobody else holds it. apt waits by itself for dpkg's alone, and tells nobody for whom.
await_lock() {
	local holder begun=$SECONDS told=''
	while holder=$(lock_holder "$2") && [ -n "$holder" ]; do
		[ $((SECONDS - begun)) -lt "$lock_wait" ] ||
			die "$holder has held $1 for $lock_wait s" "let it end (or end it), then run up again"
		if [ -z "$told" ] || [ $((SECONDS - told)) -ge 15 ]; then
			say "$step: waiting for $holder, which holds $1"
			told=$SECONDS
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
