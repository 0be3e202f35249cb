#!/usr/bin/env bash
# Installs packages from Debian: debian-packages.sh NAME…
set -euo pipefail

apt=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -qy -o DPkg::Lock::Timeout=600)
[ "$(id -u)" = 0 ] || apt=(sudo "${apt[@]}")

# apt waits for dpkg's lock by itself, but not for that of its lists, which a machine that has just started reads anew.
until said=$("${apt[@]}" update 2>&1) || ! code=$?; do
	printf '%s\n' "$said"
	if [[ $said != *'Could not get lock'* ]] || [ "$SECONDS" -gt 600 ]; then exit "$code"; fi
	sleep 2
done
"${apt[@]}" install --no-install-recommends "$@"
