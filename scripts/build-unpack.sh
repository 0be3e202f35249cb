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

main() {
	local pinned part=$work/prefix
	need_root
	lock "build-${identity//\//-}"
	scratch+=("$work")
	rm -rf --one-file-system -- "$work"
	mkdir -p "$part"
	unpack "$part" || exit "$tampered"
	pinned=$(<"$record/result")
	if [ -n "$(unhashed "$part")" ] || [ "$(build_hash "$part")" != "$pinned" ]; then exit "$tampered"; fi
	cp -r --no-preserve=all "$record" "$part/.tracelab-build-record"
	build_listing "$part" >"$work/manifest"
	mv "$work/manifest" "$part/.tracelab-build"
	move_build "$part" "$cached"
	rm -rf --one-file-system -- "$work"
	without_empty_folders
}

# unpack FOLDER: as this machine's root, with this machine's idea of who may write; so nothing becomes setuid.
unpack() { tar --extract --zstd --file "$archive" --directory "$1" --no-same-owner --no-same-permissions; }

# unhashed FOLDER: names the first thing that no result is a hash over. Python would run what is in a cache of its own.
unhashed() {
	find "$1" \( -name '.tracelab-build*' -o -name __pycache__ -o ! \( -type f -o -type l -o -type d \) -o -perm /7000 \) \
		-print -quit
}

main
