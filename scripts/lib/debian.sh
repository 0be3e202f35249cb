#!/usr/bin/env bash
# Debian's packages and sources, from the mirrors that the host itself uses, through an apt of our own: the host's
# lists and sources stay as they are. Signatures are checked by apt with Debian's keys; what is kept of what it downloaded is
# held to the sums in its lists, or to those that the lock pins.
source lib/step.sh

# Seconds without a byte after which a download is given up.
stalled=60

# has_sum FILE SHA256
has_sum() { [ -e "$1" ] && [ "$(sum_of "$1")" = "$2" ]; }

sum_of() { sha256sum <"$1" | cut -c 1-64; }

# version_of FILE: of a .deb, by the name that apt gives it.
version_of() {
	local version=${1#*_}
	version=${version%_*}
	printf '%s' "${version//%3a/:}"
}

in_folder() { (cd "$1" && "${@:2}"); }

# debian_entries SUITE: apt's lines for the suite and its security updates.
debian_entries() {
	local suite=$1 mirrors mirror security signed=signed-by=$root/usr/share/keyrings/debian-archive-keyring.gpg
	mirrors=$(debian_mirrors)
	mirror=$(grep -v security <<<"$mirrors" | sed -n 1p || :)
	security=$(grep security <<<"$mirrors" | sed -n 1p || :)
	[ -n "$mirror" ] || die "no Debian mirror in /etc/apt" "add one to /etc/apt/sources.list.d"
	printf '%s [%s] %s %s main\n' deb "$signed" "$mirror" "$suite" deb-src "$signed" "$mirror" "$suite"
	case $suite in sid | unstable | experimental | *-backports) return ;; esac
	[ -z "$security" ] ||
		printf '%s [%s] %s %s-security main\n' deb "$signed" "$security" "$suite" deb-src "$signed" "$security" "$suite"
}

# debian_mirrors: first the addresses that apt knows for Debian's, by what is signed in the host's lists: other archives have
# that name in theirs, too. Then those in its sources, both in one-line and in deb822 form, as it may have read no lists.
debian_mirrors() {
	local file
	# shellcheck disable=SC2016  # apt's own variable
	apt-get -o "Dir=$root/" indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | sed 's|/$||' || :
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

# apt_own SUITE: makes the array apt_options, with which apt-get knows that suite and no other, and nothing as installed. Hold
# `lock apt-sources`.
apt_own() {
	local suite=$1 state=$cache_dir/apt-sources/$1 entries
	mkdir -p "$state/lists" "$state/archives/partial"
	: >"$state/status"
	apt_options=(-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$state/lists" -o "Dir::State::status=$state/status" -o "Dir::Cache::archives=$state/archives"
		-o "Dir::Cache::srcpkgcache=$state/srcpkgcache.bin" -o "Dir::Cache::pkgcache=$state/pkgcache.bin"
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 -o "Acquire::http::Timeout=$stalled"
		# The sums that a lock has.
		-o Acquire::ForceHash=SHA256
		# A mirror that stands still, such as a snapshot of sid, is as good: what is signed is what Debian had then.
		-o Acquire::Check-Valid-Until=false)
	entries=$(debian_entries "$suite")
	# QEMU's source and the kernel's come at the same time: one reading of the lists serves both. One of a time to come was
	# made before the clock was set back.
	if [ "$(cat "$state/sources.list" 2>/dev/null || :)" = "$entries" ] &&
		[ -n "$(find "$state/read" -mmin -60 ! -newermt '2 seconds' 2>/dev/null)" ]; then
		return
	fi
	# apt would go on from what it refused the last time.
	rm -rf --one-file-system -- "$state/read" "$state/lists/partial"
	mkdir -p "$state/lists/partial"
	# A mirror's address may have a password in it.
	printf '%s\n' "$entries" | write_file "$state/sources.list" 600
	run "reading Debian's package lists for $suite" apt-get "${apt_options[@]}" --error-on=any update
	: >"$state/read"
}

# apt_listed ARGUMENT…: the files that apt-get would download for these arguments, with the sums of its signed lists, as sha256sum
# has them.
apt_listed() {
	mkdir -p "${log_file%/*}"
	apt-get "${apt_options[@]}" -qq --print-uris "$@" 2>>"$log_file" | sums_of_uris
}

sums_of_uris() { sed -nE "s/^'.*' ([^ ]+) [0-9]+ SHA256:([0-9a-f]{64})\$/\2  \1/p"; }

# apt_fetch WHAT FOLDER LISTED ARGUMENT…: has these files in FOLDER, by the arguments with which they were listed. What is there
# and is not what it should be goes first: apt takes a .deb of the right size for the right one.
apt_fetch() {
	local what=$1 folder=$2 listed=$3 sum file whole=yes
	shift 3
	mkdir -p "$folder"
	while read -r sum file; do
		has_sum "$folder/$file" "$sum" || {
			whole=''
			rm -f "$folder/$file" "$folder/$file.FAILED"
		}
	done <<<"$listed"
	[ -n "$whole" ] || run "$what" in_folder "$folder" apt-get "${apt_options[@]}" "$@"
}
