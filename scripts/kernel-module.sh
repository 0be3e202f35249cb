#!/usr/bin/env bash
# A kernel module, or a set of modules of one source, built against one debug kernel.
# Inputs:
#   prefix         /opt/tracelab/module/HASH
#   name           what the stack file calls it
#   load           modules that the source's Kbuild or Makefile must make, as these are loaded at boot
#   make           further variables of make, NAME=VALUE
#   source         where its source comes from (lib/source.sh)
#   kernel_prefix  the kernel's build
# Owns the prefix: each .ko with its debug information, kernel (the kernel's hash), and source/, what it was built
# from, for gdb.
source lib/source.sh
: "${name:?}" "${load[*]-}" "${make[*]-}" "${kernel_prefix:?}"

thing="module $name"
landmarks=(source)

# The hash in the prefix covers the text of a working tree: another text is another prefix, touched files are not. The kernel may be
# made again in its place, of a tree that was edited or of another version.
build_stale() {
	local stale wanted made
	stale=$(build_changed)
	wanted=$(cat "$root$kernel_prefix/build-id" 2>/dev/null || :)
	made=$(recorded "$root$prefix" kernel)
	if [ -z "$stale" ] && [ -n "$wanted" ] && [ "$made" != "$wanted" ]; then
		stale="$thing is for a kernel with build-id ${made:-that was not noted}, and $kernel_prefix has $wanted"
	fi
	printf '%s' "$stale"
}

record_source() {
	record kernel "$(<"$root$kernel_prefix/build-id")"
	(source_get)
}

# build PART: in a copy, so that nothing is written into a person's own tree.
build() {
	local part=$1 tree=$work/source objects=$work/objects kernel=$root$kernel_prefix wanted file made
	local map=KCFLAGS="-ffile-prefix-map=$objects=$nowhere/source"
	[ -e "$kernel/build/Makefile" ] || die "the kernel $kernel_prefix is not built" "run up again: it builds it"
	record kernel "$(<"$kernel/build-id")"
	source_fetch "$tree"
	copy_tree "$tree" "$part/source"
	cp -r "$part/source" "$objects"
	use_ccache
	# By the relative paths that it would make of ours, modpost finds no header of the module, and each is part of srcversion.
	unset CCACHE_BASEDIR
	# KCFLAGS of the stack file come on top of ours.
	run "building module $name" make -C "$kernel/build" M="$objects" CC='ccache gcc' -j"$(nproc)" \
		"$map" "${make[@]/#KCFLAGS=/"$map "}" modules
	find "$objects" -name '*.ko' -exec cp -t "$part" {} +
	for wanted in "${load[@]}"; do
		[ -e "$part/$wanted.ko" ] || die "the source of module $name made no $wanted.ko" "its Kbuild must say: obj-m := $wanted.o"
	done
	made=("$part"/*.ko)
	[ -e "${made[0]}" ] || die "the source of $name made no module" "its Kbuild must say what to make: obj-m := NAME.o"
	named_here "${made[@]}"
	basename "$kernel_prefix" >"$part/kernel"
	for file in "${made[@]}"; do prove "$file" "$kernel"; done
}

# copy_tree TREE FOLDER: with what its links lead to. One that leads nowhere is no file for a build: Emacs has such a link beside
# each file with unsaved changes. Of a working tree, what was left in it is in no hash, and so not in the copy either.
copy_tree() {
	mkdir "$2"
	(cd "$1" && find -L . -path ./.git -prune -o \( -type f -o -type d -empty \) -print0 | xargs -0 -r cp -rL --parents -t "$2")
	[ "${source[kind]}" != path ] || find "$2" \( "${droppings[@]}" \) -prune -exec rm -rf {} +
}

# modprobe refuses a module whose vermagic is not the running kernel's: better to hear of it here.
prove() {
	local made wanted
	made=$(modinfo -F vermagic "$1")
	wanted=$(<"$2/release")
	[ "${made%% *}" = "$wanted" ] || die "module $(basename "$1" .ko) was made for kernel ${made%% *}, not for $wanted" \
		"its Makefile must use the kernel that it is given (make -C … M=…), and not the running one"
}
