#!/usr/bin/env bash
# Sources of builds, kept in $cache_dir/sources once they are verified. What the lock pins is taken from there where it is
# whole, with no question to anybody: it can be built without a network, and when it is gone from where it came from.
# Input: source, by name: kind=debian package suite? | git url ref | tarball url sha256 | path path
source lib/build.sh
source lib/debian.sh
source lib/debian-gone.sh
: "${source[kind]:?}"

sources=$cache_dir/sources

# source_fetch FOLDER [EXCLUDED…]: unpacks the source into FOLDER, which must be absent, and writes what it is to
# FOLDER.version. EXCLUDED are tar's patterns of what may be left out, where that saves time. For `path:` FOLDER
# becomes a link to the person's own tree, which is never written to.
source_fetch() (
	# In a shell of its own: its locks end with it, so that one build does not wait for all of another.
	source_get
	case ${source[kind]} in
	debian) debian_unpack "$@" ;;
	git) git_unpack "$1" ;;
	tarball) tarball_unpack "$@" ;;
	path)
		mkdir -p "${1%/*}"
		ln -s "${source[path]}" "$1"
		source_is "$1" "${source[path]} $(tree_state)"
		;;
	esac
)

record_source() (source_get)

# kept_sources: those of a working tree are where they are.
kept_sources() {
	source_get
	case ${source[kind]} in
	debian)
		printf '%s\n' "$archive"
		[[ $archive != *.dsc ]] || dsc_files | sed "s|^.*  |${archive%/*}/|"
		;;
	git) git_pack ;;
	tarball) printf '%s\n' "$archive" ;;
	esac
}

# source_get: has the source on this host, verified, records what it is, and holds it to the lock: of a Debian package and of
# a git repository it gets what the lock pins.
source_get() {
	mkdir -p "${log_file%/*}"
	case ${source[kind]} in
	debian) debian_get ;;
	git) git_get ;;
	tarball) tarball_get ;;
	path) path_get ;;
	*) die "unknown kind of source: ${source[kind]}" ;;
	esac
}

source_is() { printf '%s\n' "$2" >"$1.version"; }

# debian_get: makes the variables version and archive, the package's version and its .dsc or .deb.
debian_get() {
	local package=${source[package]} suite=${source[suite]:-}
	lock apt-sources
	version=${pin[version]:-}
	archive=$(debian_archive)
	if ! debian_kept; then
		[ -n "$suite" ] || suite=$(host_suite)
		apt_own "$suite"
		debian_fetch "$package" "$suite"
	fi
	record version "$version"
	record sha256 "$(sum_of "$archive")"
}

# debian_archive: what of the package apt downloads.
debian_archive() {
	case $package in
	# The kernel's source is a tarball inside a binary package, and that of a module for any kernel is in one as it is.
	linux-source-* | *-dkms) printf '%s' "$sources/debian/${package}_${version//:/%3a}_all.deb" ;;
	*) printf '%s' "$sources/debian/${package}_${version#*:}.dsc" ;;
	esac
}

# debian_kept: is what the lock pins here, whole?
debian_kept() {
	has_sum "$archive" "${pin[sha256]:-}" || return 1
	[[ $archive != *.dsc ]] || in_folder "${archive%/*}" sha256sum --status --check <(dsc_files) 2>/dev/null
}

# dsc_files: the other files of a source package, as sha256sum has them.
dsc_files() { sed -nE 's/^ ([0-9a-f]{64}) [0-9]+ /\1  /p' "$archive"; }

# debian_unpack FOLDER [EXCLUDED…]
debian_unpack() {
	local package=${source[package]} folder=$1
	shift
	case $package in
	linux-source-*)
		mkdir -p "$folder"
		run "unpacking $package" unpack_deb_tarball "$archive" "$folder" "${@/#/--exclude=}"
		;;
	# What is in the package's /usr/src/NAME-VERSION.
	*-dkms)
		mkdir -p "$folder"
		run "unpacking $package" unpack_deb "$archive" "$folder"
		;;
	# With Debian's patches applied, as dpkg-source does it: what upstream's tarball has and Debian's lacks (QEMU's
	# firmware) is accounted for in them.
	*)
		mkdir -p "${folder%/*}"
		run "unpacking the source of $package" dpkg-source --no-check -x "$archive" "$folder"
		;;
	esac
	source_is "$folder" "$package $version"
}

# debian_fetch PACKAGE SUITE: downloads what of it is not here as apt's lists have it.
debian_fetch() {
	local package=$1 suite=$2 kind='package' verb=(download) listed
	[[ $archive != *.dsc ]] || kind='source package' verb=(--only-source --download-only source)
	verb+=("$package${pin[version]:+=${pin[version]}}")
	listed=$(apt_listed "${verb[@]}" || :)
	archive=$(sed -nE "s|^[^ ]+  (.*\.${archive##*.})\$|$sources/debian/\1|p" <<<"$listed")
	if [ -z "$archive" ]; then
		debian_fetch_gone "$kind" "$suite"
		return
	fi
	apt_fetch "downloading the $kind $package" "$sources/debian" "$listed" "${verb[@]}"
	if [[ $archive = *.dsc ]]; then version=$(sed -n 's/^Version: //p' "$archive"); else version=$(version_of "${archive##*/}"); fi
}

# debian_fetch_gone KIND SUITE: the version that the lock pins, where no mirror of the suite lists it.
debian_fetch_gone() {
	[ -n "$version" ] ||
		die "Debian's $2 has no $1 $package" "see what there is: apt-cache search --names-only, or packages of other suites: debian:PACKAGE/SUITE"
	[ -n "${pin[sha256]:-}" ] ||
		die "Debian's $2 has no $1 $package $version any more, which the lock pins without a sha256" "take what there is now: $lock_update"
	archive=$(debian_archive)
	debian_gone "${archive##*.}" "$sources/debian" "$package=$version"
	debian_kept || neither "$2" "the $1 $package $version"
}

unpack_deb() { dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --strip-components=4 --wildcards './usr/src/*/*'; }

unpack_deb_tarball() {
	dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards './usr/src/*.tar.xz' | xz -dc -T0 |
		tar -x -C "$2" --strip-components=1 "${@:3}"
}

# git_get: makes the variables mirror and commit.
git_get() {
	local url=${source[url]} ref=${pin[commit]:-${source[ref]}} todo
	mirror=$sources/git/$(printf '%s' "$url" | sha256sum | cut -c 1-16)
	lock "source-${mirror##*/}"
	# What a killed git leaves, which the next one would take for another's that is at work.
	find "$mirror" \( -name '*.lock' -o -path '*/objects/pack/tmp_*' \) -type f -delete 2>/dev/null || :
	# One that is there stays as it is, and one that was killed on the way gets what it lacks.
	run "making a place for $url" git init -q --bare "$mirror"
	commit=$(git_kept "${pin[commit]:-nothing}")
	[ -n "$commit" ] || commit=$(git_unpacked "${pin[commit]:-nothing}")
	[ -n "$commit" ] || commit=$(git_commit "$mirror" "$url" "$ref")
	if [ -z "$commit" ]; then
		# A commit by its hash cannot be had alone from every server: then it is in the whole history, or not there.
		run "fetching $url" fetching "$mirror" --depth 2147483647 "$url" \
			'+refs/heads/*:refs/heads/*' '+refs/tags/*:refs/tags/*'
		commit=$(git -C "$mirror" rev-parse --verify --quiet "$ref^{commit}" || :)
	fi
	todo="give a tag, a branch or a commit that is there: git ls-remote $url"
	[ -z "${pin[commit]:-}" ] || todo="the lock pins it; take what ${source[ref]} is now: $lock_update"
	[ -n "$commit" ] || die "$url has no $ref" "$todo"
	record commit "$commit"
	# It stays, wherever its branch goes.
	git -C "$mirror" update-ref "refs/tracelab/kept/$commit" "$commit"
}

# git_kept COMMIT: prints it, where it is here with all that is in it.
git_kept() { git -C "$mirror" rev-parse --verify --quiet "refs/tracelab/kept/$1" || :; }

# git_pack: prints the file that holds the commit and all that is in it.
git_pack() {
	local pack=$sources/git/$commit.pack
	! git -C "$mirror" cat-file -e "$commit:.gitmodules" 2>/dev/null ||
		die "${source[url]} has submodules, which are fetched when it is built: no bundle has these" "give a Debian source or a tarball in the stack file"
	run "packing $commit" pack_objects "$pack"
	printf '%s\n' "$pack"
}

# pack_objects FILE: the same bytes, whatever else the mirror has, and whichever server or git it came from: compressed here, with
# no deltas, and in an order that goes by no tag, as a repository without any has it.
pack_objects() {
	git init -q --bare "$work/untagged" &&
		git -C "$mirror" rev-list --objects --no-walk "$commit" |
		GIT_OBJECT_DIRECTORY=$mirror/objects git -C "$work/untagged" pack-objects -q --stdout --threads=1 --window=0 \
			--no-reuse-object --compression=6 >"$1.part" && mv "$1.part" "$1"
}

# git_unpacked COMMIT: takes it from its pack, where that is here and whole; prints it, or nothing.
git_unpacked() {
	[ -e "$sources/git/$1.pack" ] || return 0
	{
		git -C "$mirror" index-pack --stdin <"$sources/git/$1.pack" &&
			git -C "$mirror" rev-list --objects --no-walk --quiet "$1" &&
			printf '%s\n' "$1" >>"$mirror/shallow" &&
			git -C "$mirror" update-ref "refs/tracelab/kept/$1" "$1"
	} >>"$log_file" 2>&1 || return 0
	git_kept "$1"
}

git_unpack() {
	run "unpacking ${source[ref]} of ${source[url]}" git_checkout "$mirror" "$commit" "${source[url]}" "$1"
	source_is "$1" "${source[url]} $commit"
}

# Whoever was asked for a password, or whether to trust a host, would be stopped for it: the step is in no terminal's foreground.
fetching() {
	local ssh=${GIT_SSH_COMMAND:-$(git -C "$1" config core.sshCommand || printf %s "${GIT_SSH:-ssh}")}
	GIT_TERMINAL_PROMPT=0 GIT_SSH_COMMAND="$ssh -o BatchMode=yes" git -C "$1" \
		-c http.lowSpeedLimit=1 -c "http.lowSpeedTime=$stalled" fetch -q "${@:2}"
}

# git_commit MIRROR URL REF: fetches REF alone; prints its commit, or nothing where the server does not give it by that name.
git_commit() {
	local rc=0 log_start fetch=(fetching "$1" --depth 1 "$2" "+$3:refs/tracelab/wanted")
	log_command "${fetch[@]}"
	"${fetch[@]}" >>"$log_file" 2>&1 </dev/null || rc=$?
	if [ "$rc" = 0 ]; then
		git -C "$1" rev-parse --verify --quiet 'refs/tracelab/wanted^{commit}' || :
	elif ! grep -qsE "couldn't find remote ref|not our ref|unadvertised object|want [0-9a-f]+ not valid" <(logged); then
		failed "fetching $3 of $2" "$rc"
	fi
}

# git_checkout MIRROR COMMIT URL FOLDER: a repository, not an archive: QEMU's configure fetches its submodules. Its
# first files get the commit's date, which a kernel's build says.
git_checkout() {
	git init -q "$4" &&
		git -C "$4" remote add origin "$3" &&
		printf '%s\n' "$1/objects" >"$4/.git/objects/info/alternates" &&
		{ [ ! -e "$1/shallow" ] || cp "$1/shallow" "$4/.git/shallow"; } &&
		git -C "$4" -c advice.detachedHead=false checkout -q --detach "$2" &&
		find "$4" -maxdepth 1 -type f -exec touch -d "@$(git -C "$4" log -1 --format=%ct)" {} +
}

# tarball_get: makes the variable archive, the tarball.
tarball_get() {
	local url=${source[url]} wanted=${source[sha256]} sum
	record sha256 "$wanted"
	archive=$sources/sha256/$wanted
	lock "source-$wanted"
	! has_sum "$archive" "$wanted" || return 0
	mkdir -p "${archive%/*}"
	trap 'rm -f "$archive.part"' EXIT
	run "downloading $url" curl --fail --location --silent --show-error \
		--speed-limit 1 --speed-time "$stalled" --output "$archive.part" "$url"
	sum=$(sum_of "$archive.part")
	[ "$sum" = "$wanted" ] || die "$url has the sha256 $sum, not $wanted; nothing of it was kept" \
		"check the address and the sum in the stack file; if both are right, the file was changed since"
	mv "$archive.part" "$archive"
	trap - EXIT
}

# tarball_unpack FOLDER [EXCLUDED…]: whoever packed it has no say in who may write to what root builds.
tarball_unpack() {
	local folder=$1
	shift
	mkdir -p "$folder"
	run "unpacking ${source[url]}" tar --no-same-owner --no-same-permissions -xf "$archive" -C "$folder" "${@/#/--exclude=}"
	without_top "$folder"
	source_is "$folder" "${source[url]} ${source[sha256]}"
}

# without_top FOLDER: most tarballs hold one folder with everything in it.
without_top() {
	local top
	top=$(ls -A "$1")
	[ -d "$1/$top" ] || return 0
	mv -T "$1/$top" "$1.top"
	rmdir "$1"
	mv -T "$1.top" "$1"
}

path_get() {
	local tree
	[ -d "${source[path]}" ] || die "the folder ${source[path]} is not there" "mend the path in the stack file"
	tree=$(tree_hash)
	record tree "$tree"
}

hold_here() { [ -z "${pin[tree]:-}" ] || hold tree "$(tree_hash)"; }

# What git and builds leave in a tree, as spec/content-hash.ts has it.
droppings=(-name .git -o -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' -o
	-name Module.symvers -o -name modules.order)

# tree_hash: one hash over a working tree's contents, less that.
tree_hash() { contents "${source[path]}" "${droppings[@]}" -o -name __pycache__ | sha256sum | cut -c 1-64; }

# tree_state: what a working tree, or what a link to one leads to, looks like now: a digest of names, modes, sizes and times of
# files and links, fast enough for a probe.
tree_state() {
	find "${source[path]}/" -name .git -prune -o \( -type f -o -type l \) -printf '%P %m %l %s %T@\n' 2>/dev/null |
		sort | sha256sum | cut -c 1-16
}

# build_stale, for builds from sources: a working tree may have changed since.
build_stale() {
	local built
	built=$(build_changed)
	if [ -z "$built" ] && [ "${source[kind]}" = path ]; then
		read -r built <"$root$prefix/source-version"
		if [ "${built##* }" = "$(tree_state)" ]; then built=''; else built="the tree ${source[path]} changed since it was built"; fi
	fi
	printf '%s' "$built"
}
