#!/usr/bin/env bash
# Removes a build that no lab uses, for `./lab gc`. It is run in the folder that it is in, with by the environment:
#   prefix    /opt/tracelab/KIND/HASH
#   last_use  when it was used last, as far as `./lab gc` knows: seconds since 1970
# Ends with 75 where somebody has come to build, pull or use it meanwhile: then it stays.
source lib/build.sh
: "${last_use:?}"

later=75

main() {
	need_root
	# What an up is making, or taking from the cache, is locked; one that comes now waits, and then makes it anew.
	try_lock "build-${identity//\//-}" || exit "$later"
	! has_owners || exit "$later"
	! used_since || exit "$later"
	discard "$cached"
	discard "$root$prefix"
	rm -rf --one-file-system -- "$work"
	without_empty_folders
	rmdir --ignore-fail-on-non-empty "${cached%/*}" 2>/dev/null || :
}

has_owners() { [ -n "$(find "$owners_dir" -mindepth 1 -print -quit 2>/dev/null)" ]; }

# used_since: whether one of its folders came to its place after that.
used_since() { [ -n "$(find "$cached" "$root$prefix" -maxdepth 0 -newermt "@$last_use" -print -quit 2>/dev/null)" ]; }

# discard FOLDER: the manifest first, so that half of a build never looks like a whole one.
discard() {
	rm -f "$1/.tracelab-build"
	rm -rf --one-file-system -- "$1"
}

main
