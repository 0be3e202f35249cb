#!/usr/bin/env bash
# The root file system that guests start from.
# Inputs:
#   prefix    /opt/tracelab/image/HASH
#   suite     Debian suite, such as bookworm
#   packages  all packages beyond Debian's essential ones
# Owns the prefix: image.qcow2 (ext4 on the whole disk, no partitions) and packages (name and version a line).
source lib/build.sh
source lib/debian.sh
source lib/debian-gone.sh
source lib/guest-tree.sh
: "${suite:?}" "${packages[*]:?}"

thing="the guest image"
# The packages decide what is in it; what packs them differs from one Debian machine to the next, and the result tells if it matters.
tools=()
# Packages of images, under the names that Debian gives their files.
kept=$cache_dir/apt-image/$suite

build() {
	local part=$1 tree=$work/tree
	repository "$work/repository"
	bootstrap "$tree" "$work/repository"
	guest_tree "$tree"
	# shellcheck disable=SC2016  # dpkg-query's own variables
	dpkg-query --admindir="$tree/var/lib/dpkg" -W -f '${Package} ${Version}\n' >"$part/packages"
	pack "$tree" "$part/image.qcow2"
}

# record_source: the packages that apt would install now on a host that has none, a line each: name, version, sha256 of its .deb.
record_source() (
	local listed sum file
	mkdir -p "$work" "${log_file%/*}"
	lock apt-sources
	apt_own "$suite"
	listed=$(apt_listed -o APT::Install-Recommends=false install '?essential' '?priority(required)' apt "${packages[@]}") ||
		die "Debian's $suite has not all packages of the image" "see the last lines of $log_file"
	record packages "$(
		while read -r sum file; do printf '%s %s %s\n' "${file%%_*}" "$(version_of "$file")" "$sum"; done <<<"$listed" | sort
	)"
)

# repository FOLDER: makes it an apt repository of the image's packages alone. So what is in an image is decided by these, and not
# by where they came from.
repository() {
	local files
	lock "apt-image-$suite"
	files=$(get_packages)
	mkdir -p "$1"
	xargs -d '\n' cp -t "$1" <<<"$files"
	# shellcheck disable=SC2016  # expanded by that bash
	run "listing the guest's packages" bash -c 'cd "$0" && dpkg-scanpackages . >Packages' "$1"
}

kept_sources() {
	lock "apt-image-$suite"
	get_packages
}

# get_packages: prints the files of the packages that the lock pins, or else of those that apt would install now. What is not kept
# yet, or is not what it was, is downloaded. Hold `lock apt-image-$suite`.
get_packages() {
	local chosen=${pin[packages]:-} name version sum missing
	if [ -n "$chosen" ]; then
		record packages "$chosen"
	else
		record_source
		chosen=$(<"$work/record/packages")
	fi
	mapfile -t missing < <(missing_of "$chosen")
	[ ${#missing[@]} = 0 ] || (download "${missing[@]}")
	mapfile -t missing < <(missing_of "$chosen")
	[ ${#missing[@]} = 0 ] || debian_gone deb "$kept" "${missing[@]}"
	while read -r name version sum; do
		deb_of "$name" "$version" "$sum" || neither "$suite" "$(only_in "$(missing_of "$chosen")" '')"
	done <<<"$chosen"
}

# missing_of CHOSEN: those that are not kept whole, NAME=VERSION a line.
missing_of() {
	local name version sum
	while read -r name version sum; do
		deb_of "$name" "$version" "$sum" >/dev/null || printf '%s=%s\n' "$name" "$version"
	done <<<"$1"
}

# deb_of NAME VERSION SHA256: prints its file, which has the architecture in its name, too, where it is kept and whole.
deb_of() {
	local file
	for file in "$kept/$1_${2//:/%3a}"_*.deb; do
		if has_sum "$file" "$3"; then
			printf '%s\n' "$file"
			return
		fi
	done
	return 1
}

# download NAME=VERSION…: to those that are kept, what the suite has of these.
download() {
	local listed there file
	lock apt-sources
	apt_own "$suite"
	listed=$(apt_listed download "$@" || :)
	[ -n "$listed" ] || return 0
	mapfile -t there < <(while read -r _ file; do printf '%s=%s\n' "${file%%_*}" "$(version_of "$file")"; done <<<"$listed")
	say "$step: downloading ${#there[@]} of the guest's packages"
	apt_fetch "downloading the guest's packages" "$kept" "$listed" download "${there[@]}"
}

# bootstrap TREE REPOSITORY: installs all packages of the repository, those that Debian calls essential first.
bootstrap() {
	local tree=$1 repository=$2 options
	options=(
		--variant=essential --format=directory
		--include="$(sed -n 's/^Package: //p' "$repository/Packages" | paste -sd ,)"
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*'
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io
	)
	# What maintainers' scripts date, such as a password's last change, is of the first day there is.
	run_long "installing the guest's packages" env SOURCE_DATE_EPOCH=86400 mmdebstrap "${options[@]}" '' "$tree" \
		"deb [trusted=yes] copy:$repository ./"
}

# pack TREE IMAGE: the same packages are the same bytes. The file system has a fixed uuid and hash seed, as nothing of a
# disk's identity matters here; and what was written while the tree was made is as old as the newest file that a package brought.
pack() {
	local seed=7ea1ab00-0000-4000-8000-000000000000 newest
	newest=$(newest_packaged "$1")
	find "$1" -newermt "@$newest" -exec touch --no-dereference --date="@$newest" {} +
	truncate -s 4G "$work/raw"
	run "making the file system" env "E2FSPROGS_FAKE_TIME=$newest" mke2fs -q -t ext4 -L tracelab -U "$seed" -E "hash_seed=$seed,lazy_itable_init=1" \
		-d "$1" "$work/raw"
	one_time "$work/raw" "$newest"
	run "making the image" qemu-img convert -f raw -O qcow2 "$work/raw" "$2"
}

# one_time RAW SECONDS: gives each inode that time for its last access and change, which mke2fs takes from the tree, where
# nobody can set the latter. It hands out inodes one by one, from the eleventh on; the second is the root.
one_time() {
	local raw=$1 used
	used=$(dumpe2fs -h "$raw" 2>/dev/null | awk -F: '/^Inode count/ {all = $2} /^Free inodes/ {free = $2} END {print all - free}')
	{
		echo 2
		seq 11 "$used"
	} | sed "s/.*/set_inode_field <&> atime @$2\nset_inode_field <&> ctime @$2/" >"$work/times"
	# It repeats each line that it was given.
	E2FSPROGS_FAKE_TIME=$2 debugfs -w -f "$work/times" "$raw" >/dev/null 2>&1 ||
		die "debugfs cannot give the image's files one time" "see that e2fsprogs is whole: dpkg --verify e2fsprogs"
}

# newest_packaged TREE: seconds since 1970. Of what packages list, manuals and the like were left out.
newest_packaged() {
	(
		cd "$1"
		cat var/lib/dpkg/info/*.list | sed 's/^/./' | tr '\n' '\0' >"$work/packaged"
		# shellcheck disable=SC2185  # it gets its paths from that file
		{ find -files0-from "$work/packaged" -maxdepth 0 -type f -printf '%Ts\n' 2>/dev/null || :; } | sort -n | tail -n 1
	)
}
