#!/usr/bin/env bash
# Sources of builds, kept in $cache_dir/sources once they are verified.
# Input: source, by name: kind=debian package suite? | git url ref | tarball url sha256 | path path
source lib/build.sh
: "${source[kind]:?}"

# source_tree FOLDER: unpacks the source into FOLDER, which must be absent; for `path:` makes FOLDER a link to
# the person's own tree, which is never written to.
source_tree() {
	case ${source[kind]} in
	debian) debian_source "$1" ;;
	git) git_source "$1" ;;
	tarball) tarball_source "$1" ;;
	path) path_source "$1" ;;
	*) die "unknown kind of source: ${source[kind]}" ;;
	esac
}

# Apt as the host has it, plus the source packages, in a state folder of ours: the host's own lists and
# sources stay as they are. Signatures are checked by apt with the host's keys.
apt_options=()
apt_prepare() {
	local state=$cache_dir/apt-sources suite=${source[suite]:-}
	mkdir -p "$state/lists/partial" "$state/archives/partial" "$cache_dir/sources"
	debian_entries "$suite" >"$state/sources.list"
	apt_options=(-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=-
		-o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$state/archives"
		-o "Dir::Cache::srcpkgcache=$state/srcpkgcache.bin" -o "Dir::Cache::pkgcache=$state/pkgcache.bin"
		-o APT::Sandbox::User=root)
	run "reading the list of Debian's source packages" apt-get "${apt_options[@]}" update
}

# debian_entries SUITE: deb-src and deb lines for the suite (the host's own where none is given) and its
# updates, from the mirrors that the host uses.
debian_entries() {
	local suite=$1 mirror security
	[ -n "$suite" ] || suite=$(. "$root/etc/os-release" && printf '%s' "$VERSION_CODENAME")
	mirror=$(mirrors | grep -v security | head -n 1)
	security=$(mirrors | grep security | head -n 1)
	[ -n "$mirror" ] || die "no Debian mirror in /etc/apt" "add one to /etc/apt/sources.list.d"
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	printf '%s [signed-by=%s] %s %s main\n' deb "$keyring" "$mirror" "$suite" deb-src "$keyring" "$mirror" "$suite"
	case $suite in sid | unstable | experimental | *-backports) return ;; esac
	[ -z "$security" ] ||
		printf '%s [signed-by=%s] %s %s-security main\n' deb "$keyring" "$security" "$suite" deb-src "$keyring" "$security" "$suite"
}

# mirrors: the URIs of the host's apt sources, both in one-line and in deb822 form.
mirrors() {
	local file
	for file in "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*.list; do
		[ ! -e "$file" ] || sed -nE 's/^deb(-src)? +(\[[^]]*\] +)?([^ ]+) .*/\3/p' "$file"
	done
	for file in "$root"/etc/apt/sources.list.d/*.sources; do
		[ ! -e "$file" ] || sed -nE 's/^URIs: *([^ ]+).*/\1/p' "$file"
	done | grep -iE 'debian' || :
}

debian_source() {
	local folder=$1 package=${source[package]} version downloads
	lock apt-sources
	apt_prepare
	downloads=$cache_dir/sources/debian
	mkdir -p "$downloads"
	case $package in
	linux-source-*) linux_source "$folder" ;;
	*)
		version=$(apt-cache "${apt_options[@]}" showsrc "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -V | tail -n 1)
		[ -n "$version" ] || die "there is no Debian source package $package${source[suite]:+ in ${source[suite]}}" \
			"see what there is: apt-cache search --names-only ${package%%-*}"
		say "$step: unpacking Debian's $package $version"
		# dpkg-source applies Debian's patches; the .dsc's signature and sums are checked by apt.
		run "downloading the source of $package" in_folder "$downloads" \
			apt-get "${apt_options[@]}" source --only-source --download-only "$package=$version"
		run "unpacking the source of $package" dpkg-source -x "$downloads/${package}_${version#*:}.dsc" "$folder"
		printf '%s %s\n' "$package" "$version" >"$folder.version"
		;;
	esac
}

# The kernel's source comes as a tarball inside a binary package.
linux_source() {
	local folder=$1 package=${source[package]} version deb
	version=$(apt-cache "${apt_options[@]}" show "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -V | tail -n 1)
	[ -n "$version" ] || die "there is no Debian package $package${source[suite]:+ in ${source[suite]}}" \
		"see what there is: apt-cache search --names-only linux-source"
	deb=$cache_dir/sources/debian/${package}_${version#*:}_all.deb
	say "$step: unpacking Debian's $package $version"
	[ -e "$deb" ] || run "downloading $package" in_folder "${deb%/*}" apt-get "${apt_options[@]}" download "$package=$version"
	mkdir -p "$folder"
	# Straight through: the tarball is 130 MB that nobody needs unpacked twice.
	run "unpacking $package" unpack_linux_source "$deb" "$folder"
	printf '%s %s\n' "$package" "$version" >"$folder.version"
}

unpack_linux_source() {
	dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' | xz -dc -T0 | tar -x -C "$2" --strip-components=1
}

in_folder() {
	local folder=$1
	shift
	(cd "$folder" && "$@")
}

git_source() {
	local folder=$1 url=${source[url]} ref=${source[ref]} mirror commit
	mirror=$cache_dir/sources/git/$(printf '%s' "$url" | sha256sum | cut -c 1-16)
	lock "source-${mirror##*/}"
	[ -d "$mirror" ] || run "making a place for $url" git init -q --bare "$mirror"
	# A ref that cannot be fetched by its name (a commit's hash, on some servers) needs the whole history.
	run "fetching $ref from $url" fetch_ref "$mirror" "$url" "$ref"
	commit=$(git -C "$mirror" rev-parse --verify --quiet refs/tracelab/wanted^{commit}) ||
		die "$url has no $ref" "give a tag, a branch or a commit that is there: git ls-remote $url"
	mkdir -p "$folder"
	run "unpacking $ref" unpack_commit "$mirror" "$commit" "$folder"
	printf '%s %s\n' "$url" "$commit" >"$folder.version"
}

fetch_ref() {
	git -C "$1" fetch -q --depth 1 "$2" "+$3:refs/tracelab/wanted" && return
	git -C "$1" fetch -q --tags "$2" '+refs/heads/*:refs/heads/*' &&
		git -C "$1" update-ref refs/tracelab/wanted "$(git -C "$1" rev-parse --verify "$3^{commit}")"
}

unpack_commit() { git -C "$1" archive "$2" | tar -x -C "$3"; }

tarball_source() {
	local folder=$1 url=${source[url]} wanted=${source[sha256]} file sum
	file=$cache_dir/sources/sha256/$wanted
	lock "source-$wanted"
	if [ ! -e "$file" ]; then
		mkdir -p "${file%/*}"
		scratch+=("$file.part")
		run "downloading $url" curl --fail --location --silent --show-error --output "$file.part" "$url"
		sum=$(sha256sum <"$file.part" | cut -d ' ' -f 1)
		[ "$sum" = "$wanted" ] || die "$url has the sha256 $sum, not $wanted; nothing of it was kept" \
			"check the address and the sum in the stack file; if both are right, the file was changed since"
		mv "$file.part" "$file"
	fi
	mkdir -p "$folder"
	run "unpacking $url" tar -xf "$file" -C "$folder" --strip-components=1
	printf '%s %s\n' "$url" "$wanted" >"$folder.version"
}

path_source() {
	[ -d "${source[path]}" ] || die "the folder ${source[path]} is not there" "mend the path in the stack file"
	ln -s "${source[path]}" "$1"
	printf '%s %s\n' "${source[path]}" "$(source_state)" >"$1.version"
}

# source_state: what a working tree looks like now: a digest of names, sizes and times, fast enough for a probe.
source_state() {
	find "${source[path]}" -name .git -prune -o -type f -printf '%P %s %T@\n' 2>/dev/null | sort | sha256sum | cut -c 1-16
}

# source_probe NAME: drift when a working tree changed since it was built.
source_probe() {
	if [ "${source[kind]}" = path ] && build_complete && [ "$(source_state)" != "$(cut -d ' ' -f 2 "$root$prefix/source-version")" ]; then
		drift "${source[path]} changed since $1 was built from it"
	fi
}
