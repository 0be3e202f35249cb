#!/usr/bin/env bash
# What one guest sees of this host, read-only, as /lab: its /lib/modules (its kernel's modules and the lab's, installed
# below KVER/extra and indexed by depmod) and the lab's own programs. SystemTap and modprobe know a module only when it
# is installed there. It is a 9p share, so whatever is rebuilt is in the guest as soon as it is here.
# Inputs:
#   folder         the folder of the domain on this host
#   kernel_prefix  the kernel's build
#   modules        build prefix of each module, or set of modules, by its name in the stack file
#   load           names of the kernel modules that are loaded at boot
#   tools_prefix   the build of the lab's programs for guests
# Owns $folder/root/lib/modules and $folder/root/bin. Two files in the first say how far it is: `kernel` is absent until
# the kernel's modules are whole, `load` (the modules to load) is absent while the lab's modules change. Goes with the domain,
# and takes along what guest.sh leaves of its disk.
source lib/built.sh
: "${folder:?}" "${kernel_prefix:?}" "${modules[*]-}" "${load[*]-}" "${tools_prefix:?}"

base=$root$folder/root
tree=$base/lib/modules

probe() {
	local release strays
	release=$(kernel_release)
	if [ -z "$release" ]; then
		drift "the kernel $kernel_prefix is not built"
		return
	fi
	if ! is_kernels; then
		drift "$folder does not hold the modules of the kernel $kernel_prefix"
		return
	fi
	probe_extra "$tree/$release/extra"
	[ -e "$tree/$release/modules.dep" ] || drift "the modules in $folder are not indexed"
	cmp -s "$tree/load" <(wanted_load) || drift "$folder does not say which modules to load"
	# As with modules, a build that is gone is its own step's to say.
	[ -e "$root$tools_prefix/.tracelab-build" ] || return 0
	strays=$(different "$base/bin" <(wanted_tools) | paste -sd ' ')
	[ -z "$strays" ] || drift "in $folder/root/bin, not as built: $strays"
}

# probe_extra FOLDER: modules that are not as they were built, and modules of nobody's.
probe_extra() {
	local name
	# What a build that is gone had made is not known: its own step says so, and makes it again.
	for name in "${!modules[@]}"; do [ -e "$root${modules[$name]}/.tracelab-build" ] || return 0; done
	for name in $(different "$1" <(wanted_modules)); do
		if wanted_modules | grep -q " $name$"; then
			drift "module ${name%.ko} in $folder is not the one that was built"
		else
			drift "module ${name%.ko} in $folder is not one of this domain's"
		fi
	done
}

is_kernels() { [ "$(cat "$tree/kernel" 2>/dev/null || :)" = "$(wanted_kernel)" ]; }

# wanted_kernel: a kernel may be made again in its place, of a tree that was edited or of a newer version.
wanted_kernel() { printf '%s %s\n' "$kernel_prefix" "$(cat "$root$kernel_prefix/.tracelab-build-record/result" 2>/dev/null || :)"; }

kernel_release() { cat "$root$kernel_prefix/release" 2>/dev/null || :; }

wanted_load() { [ ${#load[@]} = 0 ] || printf '%s\n' "${load[@]}" | sort; }

# wanted_modules, wanted_tools: time, size and name of each file, as the builds' manifests have them: what was changed
# in a build by hand is that build's own step to say.
wanted_modules() {
	local name
	for name in "${!modules[@]}"; do
		sed -n 's|^\([0-9]* [0-9]*\) \([^/]*\.ko\)$|\1 \2|p' "$root${modules[$name]}/.tracelab-build" 2>/dev/null || :
	done | sort
}

wanted_tools() { sed -n 's|^\([0-9]* [0-9]*\) bin/\([^/]*\)$|\1 \2|p' "$root$tools_prefix/.tracelab-build" 2>/dev/null | sort; }

# different FOLDER LISTING: names of the files that are only in one of the two, or other in the one than in the other.
different() {
	comm -3 <(find "$1" -maxdepth 1 -type f -printf '%Ts %s %f\n' 2>/dev/null | sort) "$2" | awk '{print $3}' | sort -u
}

apply() {
	local release
	release=$(kernel_release)
	[ -n "$release" ] || die "the kernel $kernel_prefix is not built" "run up again: it builds it"
	probe
	if [ ${#drifts[@]} = 0 ]; then
		say "$step: what $folder shows its guest is up to date"
	else
		is_kernels || install_kernels "$release"
		install_tools
		install_ours "$release"
		say "$step: installed the modules and programs of $folder"
	fi
}

# A guest that runs holds on to the folder that it was given, so that is emptied, never made anew.
install_kernels() {
	mkdir -p "$tree"
	find "$tree" -xdev -mindepth 1 -delete
	cp -a "$root$kernel_prefix/modules/lib/modules/$1" "$tree/"
	wanted_kernel | write_file "$tree/kernel" 644
}

install_tools() {
	[ -d "$root$tools_prefix/bin" ] || die "the lab's programs for guests are not built ($tools_prefix is absent)" \
		"run up again: it builds them"
	install_files "$base/bin" <(wanted_tools) "$root$tools_prefix/bin"
}

install_ours() {
	local release=$1 name folders=() twice
	twice=$(wanted_modules | sort -u | awk '{print $3}' | tr - _ | sort | uniq -d | paste -sd ' ')
	[ -z "$twice" ] || die "two of this domain's modules have made $twice, of which a guest can have one" \
		"take one of the two out of modules: of the domain in the stack file, or give it another name in its Kbuild"
	rm -f "$tree/load"
	for name in "${!modules[@]}"; do
		[ -e "$root${modules[$name]}/.tracelab-build" ] || die "module $name is not built (${modules[$name]} is absent)" "run up again: it builds it"
		folders+=("$root${modules[$name]}")
	done
	install_files "$tree/$release/extra" <(wanted_modules) "${folders[@]}"
	run "indexing the modules" depmod -b "$base" "$release"
	wanted_load | write_file "$tree/load" 644
}

# install_files FOLDER LISTING FROM…: makes FOLDER hold the files of the listing, each from one of FROM, whole at any
# instant and with their times.
install_files() {
	local into=$1 listing name from
	listing=$(<"$2")
	mkdir -p "$into"
	for name in $(different "$into" <(printf '%s' "${listing:+$listing$'\n'}")); do
		if ! grep -q " $name$" <<<"$listing"; then
			rm -f "$into/$name"
			continue
		fi
		for from in "${@:3}"; do
			[ -e "$from/$name" ] || continue
			run "installing $name" cp -p "$from/$name" "$into/.$name.tracelab-part"
			mv -f "$into/.$name.tracelab-part" "$into/$name"
		done
	done
}

remove() {
	rm -rf --one-file-system "${base:?}/bin" "${base:?}/lib"
	# An older tracelab's is named image.
	rm -f "$root$folder"/image*
	# A probe that no stack file names, such as ./lab verify's, leaves its folder, and where it was killed, its module.
	rm -f "$base"/probes/stap_once_*.ko "$base"/probes/.*.tracelab-part
	rmdir --ignore-fail-on-non-empty "$base/probes" 2>/dev/null || :
	rmdir -p --ignore-fail-on-non-empty "$base" 2>/dev/null || :
}
