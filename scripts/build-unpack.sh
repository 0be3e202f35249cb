#!/usr/bin/env bash
# Puts a build that another machine made into the cache of this one, for `./lab pull`: as the lock pins it, or not at all.
# It is run in the folder that it is in, with by the environment:
#   prefix   /opt/tracelab/KIND/HASH
#   archive  what was in that prefix there: a tar, compressed with zstd
#   record   a folder with what the lock pins, a file a fact (lib/pins.sh)
# Ends with 76 where the archive holds anything else than the pinned result.
source lib/build.sh
: "${archive:?}" "${record:?}"

tampered=76

# KiB that one file of a build may have: an archive of some bytes can hold a sparse one without end.
file_limit=$((64 * 1024 * 1024))

main() {
	local part=$work/prefix
	need_root
	pin[result]=$(<"$record/result")
	lock "build-${identity//\//-}"
	# Somebody may have made it meanwhile, or pulled it.
	! is_pinned "$root$prefix" || exit 0
	! is_pinned "$cached" || exit 0
	scratch+=("$work")
	rm -rf --one-file-system -- "$work"
	mkdir -p "$part"
	# Nobody sees what is not yet looked at: it may have devices in it.
	chmod 700 "$work"
	unpack "$part"
	[ -z "$(unhashed "$part")" ] || exit "$tampered"
	[ "$(build_hash "$part")" = "${pin[result]}" ] || exit "$tampered"
	cp -r --no-preserve=all "$record" "$part/.tracelab-build-record"
	build_listing "$part" >"$work/manifest"
	mv "$work/manifest" "$part/.tracelab-build"
	move_build "$part" "$cached"
	rm -rf --one-file-system -- "$work"
	without_empty_folders
}

# unpack FOLDER: as this machine's root, with modes as a build has them here.
unpack() {
	local said
	said=$( (ulimit -f "$file_limit" && tar --extract --zstd --file "$archive" --directory "$1" --no-same-owner) 2>&1) || {
		[[ $said != *'No space left on device'* ]] || die "${said%%$'\n'*}" "make room on the disk (df -h /opt /var), then pull again"
		exit "$tampered"
	}
	chmod -R u+rwX,go+rX,go-w,a-s,-t "$1"
}

# unhashed FOLDER: names the first thing that no result is a hash over, or that would make two trees the same to it. Python would
# run what is in a cache of its own.
unhashed() {
	LC_ALL=C find "$1" -mindepth 1 \( -name '.tracelab-build*' -o -name __pycache__ -o ! \( -type f -o -type l -o -type d \) \
		-o -name '*[[:cntrl:]]*' -o -lname '*[[:cntrl:]]*' \) -print -quit
}

main
