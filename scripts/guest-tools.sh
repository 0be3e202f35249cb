#!/usr/bin/env bash
# The lab's own programs for guests, from the C files in guest/: static, so that they run whatever libc a guest has.
# Inputs:
#   prefix   /opt/tracelab/guest-tools/HASH
#   sources  text of each program, by its name
# Owns the prefix: bin/NAME.
source lib/build.sh
: "${sources[*]:?}"

thing="the guests' toolset"
tools+=(libc6-dev)

build() {
	local part=$1 name
	mkdir -p "$part/bin"
	for name in "${!sources[@]}"; do
		printf '%s' "${sources[$name]}" >"$work/$name.c"
		run "compiling $name" gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$part/bin/$name" "$work/$name.c"
	done
}
