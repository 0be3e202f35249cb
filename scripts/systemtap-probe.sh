#!/usr/bin/env bash
# A SystemTap script, compiled for one domain's guest, which sees it as /lab/probes/stap_NAME.ko.
# Inputs:
#   prefix  /opt/tracelab/probe/HASH
#   name    the probe's name
#   module  the name of its kernel module, stap_NAME
#   probed  build prefix of each module that decides what it is compiled to, by its name in the stack file
#   and those of lib/systemtap.sh
# Owns the prefix: stap_NAME.ko, the script itself, points (lib/systemtap.sh), and kernel, the build-id of the kernel
# that it is for. And $folder/root/probes/stap_NAME.ko. The name is not that of a module that it probes.
source lib/build.sh
source lib/built.sh
source lib/systemtap.sh
: "${name:?}" "${module:?}" "${domain:?}" "${probed[*]-}"

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

# A kernel from a working tree is made again in its place, and with a lock, or by another stack, so is a module: then it is another
# one, under the same prefix.
build_stale() {
	local stale wanted made
	stale=$(build_changed)
	wanted=$(cat "$root$kernel_prefix/build-id" 2>/dev/null || :)
	made=$(cat "$root$prefix/kernel" 2>/dev/null || :)
	if [ -z "$stale" ] && [ -n "$wanted" ] && [ "$made" != "$wanted" ]; then
		stale="probe $name is for a kernel with build-id $made, and $kernel_prefix has $wanted"
	fi
	printf '%s' "${stale:-$(other_module)}"
}

# other_module: says which module came to something else since; of one that is not there, its own step says so.
other_module() {
	local target made there
	while read -r target made; do
		there=$(recorded "$root${probed[$target]:-}" result)
		case $there in
		'' | "$made") ;;
		*)
			printf 'probe %s is for module %s that came to %s, and %s came to %s' "$name" "$target" "${made:0:12}" "${probed[$target]}" "${there:0:12}"
			return
			;;
		esac
	done < <(recorded "$root$prefix" modules)
}

record_source() {
	record_modules
	record kernel "$(<"$root$kernel_prefix/build-id")"
}

# record_modules: name and result a line; one that an older tracelab built has none.
record_modules() {
	local results
	results=$(module_results | sort)
	[ -z "$results" ] || record modules "$results"
}

module_results() {
	local target result
	for target in "${!probed[@]}"; do
		result=$(recorded "$root${probed[$target]}" result)
		[ -z "$result" ] || printf '%s %s\n' "$target" "$result"
	done
}

build() {
	local part=$1
	record_modules
	mkdir "$work/stap"
	compile_probe "$module" "$part" "$work/stap"
	printf '%s' "$text" >"$part/${script##*/}"
	cp "$root$kernel_prefix/build-id" "$part/kernel"
	record kernel "$(<"$root$kernel_prefix/build-id")"
}

# Where a successor was applied before, what is installed is its own.
remove() {
	[ "$(stamped)" != "$generation" ] || rm -f "$installed"
	rmdir --ignore-fail-on-non-empty "${installed%/*}" 2>/dev/null || :
	build_remove "$thing"
}
