#!/usr/bin/env bash
# Debian's packages and sources, from the mirrors that the host itself uses, through an apt of our own: the host's
# lists and sources stay as they are. Signatures are checked by apt with Debian's keys.
source lib/step.sh

# debian_entries SUITE: apt's lines for the suite and its security updates.
debian_entries() {
	local suite=$1 mirror security signed=signed-by=/usr/share/keyrings/debian-archive-keyring.gpg
	mirror=$(debian_mirrors | grep -v security | sed -n 1p || :)
	security=$(debian_mirrors | grep security | sed -n 1p || :)
	[ -n "$mirror" ] || die "no Debian mirror in /etc/apt" "add one to /etc/apt/sources.list.d"
	printf '%s [%s] %s %s main\n' deb "$signed" "$mirror" "$suite" deb-src "$signed" "$mirror" "$suite"
	case $suite in sid | unstable | experimental | *-backports) return ;; esac
	[ -z "$security" ] ||
		printf '%s [%s] %s %s-security main\n' deb "$signed" "$security" "$suite" deb-src "$signed" "$security" "$suite"
}

# debian_mirrors: the addresses in the host's apt sources, both in one-line and in deb822 form.
debian_mirrors() {
	local file
	{
		for file in "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*.list; do
			[ ! -e "$file" ] || sed -nE 's/^deb(-src)? +(\[[^]]*\] +)?([^ ]+) .*/\3/p' "$file"
		done
		for file in "$root"/etc/apt/sources.list.d/*.sources; do
			[ ! -e "$file" ] || sed -nE 's/^URIs: *([^ ]+).*/\1/p' "$file"
		done
	} | grep -i debian || :
}

host_suite() { sed -n 's/^VERSION_CODENAME=//p' "$root/etc/os-release"; }

# apt_own SUITE: makes the array apt_options, with which apt-get and apt-cache know that suite and no other. Hold
# `lock apt-sources`.
apt_own() {
	local suite=$1 state=$cache_dir/apt-sources/$1 entries
	mkdir -p "$state/lists/partial" "$state/archives/partial"
	apt_options=(-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$state/archives"
		-o "Dir::Cache::srcpkgcache=$state/srcpkgcache.bin" -o "Dir::Cache::pkgcache=$state/pkgcache.bin"
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2
		# A mirror that stands still, such as a snapshot of sid, is as good: what is signed is what Debian had then.
		-o Acquire::Check-Valid-Until=false)
	entries=$(debian_entries "$suite")
	# QEMU's source and the kernel's come at the same time: one reading of the lists serves both.
	if [ "$(cat "$state/sources.list" 2>/dev/null || :)" = "$entries" ] && [ -n "$(find "$state/read" -mmin -60 2>/dev/null)" ]; then
		return
	fi
	rm -f "$state/read"
	# A mirror's address may have a password in it.
	printf '%s\n' "$entries" | write_file "$state/sources.list" 600
	run "reading Debian's package lists for $suite" apt-get "${apt_options[@]}" --error-on=any update
	: >"$state/read"
}
