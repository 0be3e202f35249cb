#!/usr/bin/env bash
# The /lib/modules of one guest: its kernel's modules and the lab's, installed below KVER/extra and indexed by
# depmod. SystemTap and modprobe know a module only when it is installed there. The guest sees the folder
# through a read-only 9p share, so a rebuilt module is in the guest as soon as it is here.
# Inputs:
#   folder         the folder of the domain on this host
#   kernel_prefix  the kernel's build
#   modules        build prefix of each module, by module name
# Owns $folder/root/lib/modules. Two files in it say how far it is: `kernel` is absent until the kernel's modules
# are whole, `load` (the modules to load) is absent while the lab's modules change.
source lib/built.sh
: "${folder:?}" "${kernel_prefix:?}" "${!modules[*]}"

base=$root$folder/root
tree=$base/lib/modules

probe() {
	local release name file
	if ! is_kernels; then
		drift "$folder does not hold the modules of the kernel $kernel_prefix"
		return
	fi
	release=$(kernel_release)
	if [ -z "$release" ]; then
		drift "the kernel $kernel_prefix is not built"
		return
	fi
	for name in "${!modules[@]}"; do
		file=$root${modules[$name]}/$name.ko
		as_built "$file" || continue
		cmp -s "$file" "$tree/$release/extra/$name.ko" || drift "module $name in $folder is not the one that was built"
	done
	for file in "$tree/$release/extra/"*.ko; do
		[ -e "$file" ] || continue
		name=${file##*/}
		name=${name%.ko}
		[ -n "${modules[$name]:-}" ] || drift "module $name in $folder is not one of this domain's"
	done
	[ -e "$tree/$release/modules.dep" ] || drift "the modules in $folder are not indexed"
	cmp -s "$tree/load" <(wanted_load) || drift "$folder does not say which modules to load"
}

is_kernels() { [ "$(cat "$tree/kernel" 2>/dev/null || :)" = "$kernel_prefix" ]; }

kernel_release() { cat "$root$kernel_prefix/release" 2>/dev/null || :; }

wanted_load() { [ ${#modules[@]} = 0 ] || printf '%s\n' "${!modules[@]}" | sort; }

apply() {
	local release
	release=$(kernel_release)
	[ -n "$release" ] || die "the kernel $kernel_prefix is not built" "run up again: it builds it"
	probe
	if [ ${#drifts[@]} = 0 ]; then
		say "$step: the modules of $folder are up to date"
	else
		is_kernels || install_kernels "$release"
		install_ours "$release"
		say "$step: installed the modules of $folder"
	fi
	output modules "$tree"
}

# A guest that runs holds on to the folder that it was given, so that is emptied, never made anew.
install_kernels() {
	mkdir -p "$tree"
	find "$tree" -xdev -mindepth 1 -delete
	cp -a "$root$kernel_prefix/modules/lib/modules/$1" "$tree/"
	printf '%s\n' "$kernel_prefix" | write_file "$tree/kernel" 644
}

install_ours() {
	local release=$1 name file
	rm -f "$tree/load"
	mkdir -p "$tree/$release/extra"
	for file in "$tree/$release/extra/"*.ko; do
		[ -e "$file" ] || continue
		name=${file##*/}
		[ -n "${modules[${name%.ko}]:-}" ] || rm -f "$file"
	done
	for name in "${!modules[@]}"; do
		file=$root${modules[$name]}/$name.ko
		[ -e "$file" ] || die "module $name is not built (${modules[$name]}/$name.ko is absent)" "run up again: it builds it"
		cmp -s "$file" "$tree/$release/extra/$name.ko" || write_file "$tree/$release/extra/$name.ko" 644 <"$file"
	done
	run "indexing the modules" depmod -b "$base" "$release"
	wanted_load | write_file "$tree/load" 644
}

remove() {
	rm -rf --one-file-system "${base:?}"
	rmdir -p --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || :
}
