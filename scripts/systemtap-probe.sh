#!/usr/bin/env bash
# A SystemTap script, compiled for one domain's guest, which sees it as /lab/probes/stap_NAME.ko.
# Inputs:
#   prefix  /opt/tracelab/probe/HASH
#   name    the probe's name
#   module  the name of its kernel module, stap_NAME
#   and those of lib/systemtap.sh
# Owns the prefix: stap_NAME.ko, the script itself, points (lib/systemtap.sh), and kernel, the build-id of the kernel
# that it is for. And $folder/root/probes/stap_NAME.ko. The name is not that of a module that it probes.
source lib/build.sh
source lib/built.sh
source lib/systemtap.sh
: "${name:?}" "${module:?}" "${domain:?}"

thing="probe $name"
tools+=(systemtap)
compiled=$root$prefix/$module.ko
installed=$root$folder/root/probes/$module.ko

probe() {
	build_probe "$thing"
	! as_built "$compiled" || cmp -s "$compiled" "$installed" ||
		drift "probe $name in $folder is not the one that was compiled"
}

apply() {
	build_apply "$thing" build
	cmp -s "$compiled" "$installed" || write_file "$installed" 644 <"$compiled"
}

# A kernel from a working tree is made again in its place: then it is another one, under the same prefix.
build_stale() {
	local stale wanted made
	stale=$(build_changed)
	wanted=$(cat "$root$kernel_prefix/build-id" 2>/dev/null || :)
	made=$(cat "$root$prefix/kernel" 2>/dev/null || :)
	if [ -z "$stale" ] && [ -n "$wanted" ] && [ "$made" != "$wanted" ]; then
		stale="probe $name is for a kernel with build-id $made, and $kernel_prefix has $wanted"
	fi
	printf '%s' "$stale"
}

record_source() { record kernel "$(<"$root$kernel_prefix/build-id")"; }

build() {
	local part=$1
	mkdir "$work/stap"
	compile_probe "$module" "$part" "$work/stap"
	printf '%s' "$text" >"$part/${script##*/}"
	cp "$root$kernel_prefix/build-id" "$part/kernel"
	record_source
}

# Where a successor was applied before, what is installed is its own.
remove() {
	[ "$(cat "$stamp_file" 2>/dev/null || :)" != "$generation" ] || rm -f "$installed"
	rmdir --ignore-fail-on-non-empty "${installed%/*}" 2>/dev/null || :
	build_remove "$thing"
}
