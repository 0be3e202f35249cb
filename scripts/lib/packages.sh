#!/usr/bin/env bash
# Debian packages that a step installs on the host. They are noted in the ledger entry `packages` before the installation starts;
# the step host-packages has it claimed by then, and purges them in the end. Callers hold `lock packages`.
# The .deb files stay in /var/cache/tracelab/apt, so that the next installation downloads nothing.
# No jq here: this is what installs it.
source lib/debian.sh
source lib/ledger.sh

entry=$state_dir/ledger/packages

# installed: names of the packages that are there, whole, sorted.
installed() { in_state '.i ' | sort -u; }

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
		drop_altered "$@"
		run "downloading $*" apt_get --download-only install "$@"
	fi
	apt_get -s install "$@" >"$plan"
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
	ledger_keep packages
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
	ledger_keep packages
	rm -f "$state_dir/ledger-copy/packages/accounts-before" "$entry/accounts-before"
}

# What packages make by themselves and don't take along when they are purged, by a pattern of their names: what goes whole,
# and folders that go unless somebody put a file in them, such as a disk image in /var/lib/libvirt/images.
# liblttng-ust makes its own for all programs with tracepoints, and for those of an account: root's, and libvirt-qemu's, whose number
# is the same on each Debian.
declare -A generated=(
	["/dev/shm/lttng-ust-wait-8"]='liblttng-ust*'
	["/dev/shm/lttng-ust-wait-8-0"]='liblttng-ust*'
	["/dev/shm/lttng-ust-wait-8-64055"]='liblttng-ust*'
	["/etc/apparmor.d/libvirt"]='libvirt-daemon*'
	["/etc/apparmor.d/local/abstractions/libvirt-lxc"]='libvirt-daemon*'
	["/etc/apparmor.d/local/abstractions/libvirt-qemu"]='libvirt-daemon*'
	["/etc/machine-id"]=systemd
	["/etc/mtab"]=systemd
	["/run/libvirt"]='libvirt-daemon*'
	["/run/libvirtd.pid"]='libvirt-daemon*'
	["/run/lttng"]=lttng-tools
	["/run/virtlogd.pid"]='libvirt-daemon*'
	["/var/cache/libvirt"]='libvirt-daemon*'
	["/var/log/libvirt"]='libvirt-daemon*'
)
declare -A folders=(
	["/etc/apparmor.d"]='libvirt-daemon*'
	["/etc/libvirt"]='libvirt-daemon*'
	["/etc/xml"]=xml-core
	["/var/cache/private"]=systemd
	["/var/lib/libvirt"]='libvirt-daemon*'
	["/var/lib/machines"]=systemd
	["/var/lib/portables"]=systemd
	["/var/lib/private"]=systemd
	["/var/log/private"]=systemd
)

# leftovers: prints which of these are there.
leftovers() {
	local path
	for path in "${!generated[@]}" "${!folders[@]}"; do
		if [ -e "$root$path" ] || [ -L "$root$path" ]; then printf '%s\n' "$path"; fi
	done | sort
}

# Seconds that somebody else may hold a lock of dpkg's or apt's.
lock_wait=600

# await_dpkg: until nobody else installs or removes packages.
await_dpkg() { await_lock "dpkg's lock" "$root/var/lib/dpkg/lock-frontend"; }

# await_lock WHICH FILE: until nobody else holds it. apt waits by itself for dpkg's alone, and tells nobody for whom.
await_lock() {
	local holder begun now told=''
	begun=$(seconds_up)
	while holder=$(lock_holder "$2") && [ -n "$holder" ]; do
		now=$(seconds_up)
		[ $((now - begun)) -lt "$lock_wait" ] ||
			die "$holder has held $1 for $lock_wait s" "let it end (or end it), then run up again"
		if [ -z "$told" ] || [ $((now - told)) -ge 15 ]; then
			say "$step: waiting for $holder, which holds $1"
			told=$now
		fi
		sleep 1
	done
}

lock_holder() {
	lslocks --raw --noheadings --output PID,COMMAND,PATH 2>/dev/null |
		awk -v lock="$1" '$3 == lock {print "process " $1 " (" $2 ")"; exit}' || :
}

# mend_dpkg: finishes what a killed run left half done: first what it configured and removed, then what apt alone knows how to
# finish: packages that it unpacked before another that they need, and the one in whose files it was cut off, which dpkg neither
# configures nor purges. What cannot be finished fails in the command after this one, which says why. Of what is somebody else's, no
# more is done than to configure it.
mend_dpkg() {
	local cut=()
	is_interrupted || return 0
	say "$step: finishing what dpkg was at when it was interrupted"
	try dpkg_frontend dpkg --configure -a --force-confdef --force-confold
	[ -e "$entry/planned" ] || return 0
	mapfile -t cut < <(in_state '[rp]H ' | among_planned)
	[ ${#cut[@]} = 0 ] || try dpkg_frontend dpkg --force-depends --remove "${cut[@]}"
	repair --fix-broken
	mapfile -t cut < <(in_state '(.H.|..R)' | among_planned)
	[ ${#cut[@]} = 0 ] || repair --reinstall "${cut[@]}"
}

# among_planned: of the names on standard input, those of packages that steps installed, sorted.
among_planned() { sort -u | comm -12 - <(sort -u "$entry/planned"); }

# is_interrupted: has dpkg something half done, or in the journal without which apt does nothing?
is_interrupted() {
	compgen -G "$root/var/lib/dpkg/updates/[0-9]*" >/dev/null || [ -n "$(in_state '(.[^nci].|..R)')" ]
}

repair() {
	drop_altered "$@"
	try apt_get --no-remove install "$@"
}

# in_state PATTERN: names of the packages whose state is such, as dpkg -l abbreviates it.
in_state() { dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | sed -nE "s/^$1 //p"; }

# try COMMAND…: runs a command with its output in the step's log, and goes on where it fails.
try() {
	log_command "$@"
	"$@" >>"$log_file" 2>&1 </dev/null || :
}

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
