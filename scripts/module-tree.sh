#!/usr/bin/env bash
# The /lib/modules of one guest: its kernel's modules and the lab's, installed below KVER/extra and indexed by
# depmod. SystemTap and modprobe know a module only when it is installed there. The guest sees the folder
# through a read-only 9p share, so a rebuilt module is in the guest as soon as it is here.
# Inputs:
#   folder         the folder of the domain on this host
#   kernel_prefix  the kernel's build
#   modules        build prefix of each module, by module name
# Owns $folder/root/lib/modules.
source lib/step.sh
: "${folder:?}" "${kernel_prefix:?}" "${!modules[*]}"

base=$root$folder/root
tree=$base/lib/modules

probe() {
	local release name file
	if [ "$(cat "$tree/kernel" 2>/dev/null || :)" != "$kernel_prefix" ]; then
		drift "$folder does not hold the modules of the kernel $kernel_prefix"
		return
	fi
	release=$(<"$root$kernel_prefix/release")
	for name in "${!modules[@]}"; do
		file=$root${modules[$name]}/$name.ko
		[ -e "$file" ] || continue
		cmp -s "$file" "$tree/$release/extra/$name.ko" || drift "module $name in $folder is not the one that was built"
	done
	for file in "$tree/$release/extra/"*.ko; do
		[ -e "$file" ] || continue
		name=${file##*/}
		name=${name%.ko}
		[ -n "${modules[$name]:-}" ] || drift "module $name in $folder is not one of this domain's"
	done
	[ "$(cat "$tree/load" 2>/dev/null || :)" = "$(wanted_load)" ] || drift "$folder does not say which modules to load"
}

wanted_load() { [ ${#modules[@]} = 0 ] || printf '%s\n' "${!modules[@]}" | sort; }

apply() {
	local release name file
	release=$(<"$root$kernel_prefix/release")
	if [ "$(cat "$tree/kernel" 2>/dev/null || :)" != "$kernel_prefix" ]; then
		rm -rf --one-file-system "$tree"
		mkdir -p "$tree"
		cp -a "$root$kernel_prefix/modules/lib/modules/$release" "$tree/"
	fi
	mkdir -p "$tree/$release/extra"
	for file in "$tree/$release/extra/"*.ko; do
		name=${file##*/}
		[ -n "${modules[${name%.ko}]:-}" ] || rm -f "$file"
	done
	for name in "${!modules[@]}"; do
		file=$root${modules[$name]}/$name.ko
		cmp -s "$file" "$tree/$release/extra/$name.ko" || write_file "$tree/$release/extra/$name.ko" 644 <"$file"
	done
	run depmod depmod -b "$base" "$release"
	wanted_load | write_file "$tree/load" 644
	# Last: until it is there, the tree is not what it says.
	printf '%s\n' "$kernel_prefix" | write_file "$tree/kernel" 644
	output modules "$tree"
}

remove() {
	rm -rf --one-file-system "${base:?}"
	rmdir -p --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || :
}
