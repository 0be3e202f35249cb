#!/usr/bin/env bash
# build-elsewhere.sh FILE: runs the `rebuild` of the step in FILE on what looks to it like another machine, for ./lab rebuild
# --check: of another name, whose user 0 and group 0 have another name, in another time zone, with one processor more (nproc goes by
# OMP_NUM_THREADS). It has mounts of its own, which nobody else sees.
set -euo pipefail

if [ $# = 1 ]; then exec unshare --uts --mount bash "$0" "$1" unshared; fi

echo elsewhere >/proc/sys/kernel/hostname
for names in /etc/passwd /etc/group; do
	renamed=$(mktemp)
	chmod 644 "$renamed"
	# The first of a number is its name; root stays for those who look it up by that.
	sed '/^root:/{h; s//somebody:/; G}' "$names" >"$renamed"
	mount --bind "$renamed" "$names"
	rm "$renamed"
done
jobs=$(($(nproc) + 1))
exec env USER=somebody LOGNAME=somebody TZ=Pacific/Kiritimati OMP_NUM_THREADS=$jobs bash "$1" rebuild
