#!/usr/bin/env bash
# A kernel to look into: the bzImage that guests boot, and the vmlinux, gdb scripts, sources and build tree of
# that same build.
# Inputs:
#   prefix     /opt/tracelab/kernel/HASH
#   source     where its source comes from (lib/source.sh)
#   fragments  texts of configuration fragments, merged over the base in their order: the last to ask wins
#   config     further configuration lines, which win
#   base       (tinyconfig) make target of the configuration that they are merged over
# Owns the prefix:
#   bzImage vmlinux System.map config     of this build
#   release build-id source-version       the kernel's version as uname -r has it, vmlinux's GNU build-id in hex
#   vmlinux-gdb.py scripts/gdb/           the kernel's own gdb commands (lx-…)
#   modules/lib/modules/RELEASE/          its modules
#   build/ source/                        what external modules are built against, and what gdb shows
# Outputs release and buildId.
source lib/source.sh
source lib/kconfig.sh
: "${fragments[*]?}" "${config[*]-}" "${base:=tinyconfig}"

thing="the kernel"
landmarks=(build/Makefile build/.config build/include/config/kernel.release build/scripts/module.lds)
# What became of a person's own tree is told by its state.
[ "${source[kind]}" = path ] || landmarks+=(source/Makefile)

apply() {
	build_apply "$thing" build
	output release "$(<"$root$prefix/release")"
	output buildId "$(<"$root$prefix/build-id")"
}

# What no x86 kernel is built from, which is a third of the files; crypto/Kconfig reads every architecture's Kconfig.
unneeded=('*/Documentation/*/*' '*/tools/testing/*' '*/tools/perf/*')
for arch in alpha arc arm arm64 csky hexagon ia64 loongarch m68k microblaze mips nios2 openrisc parisc powerpc riscv \
	s390 sh sparc um xtensa; do
	unneeded+=("*/arch/$arch/*.[chS]" "*/arch/$arch/*.dts*" "*/arch/$arch/*_defconfig")
done

build() {
	local part=$1 tree=$work/source objects
	objects=$(objects_folder)
	say "$step: fetching the kernel's source"
	source_fetch "$tree" "${unneeded[@]}"
	clean_tree "$tree"
	mkdir -p "$objects"
	use_ccache
	make_options "$tree" "$objects"
	configure_kernel "$tree" "$objects"
	run_long "building the kernel" make "${kbuild[@]}" bzImage modules vmlinux scripts_gdb
	install_results "$part" "$tree" "$objects"
	install_build_tree "$part" "$objects"
	install_source "$part" "$tree" "$objects"
	prove "$part"
}

# clean_tree TREE: a build in the tree itself would be found before the objects of ours.
clean_tree() {
	[ "${source[kind]}" = path ] || rm -rf "$1/.git"
	if [ -e "$1/.config" ] || [ -d "$1/include/config" ]; then
		die "the tree ${source[path]:-} was built in place, so it cannot be built elsewhere" \
			"run make mrproper in it (it removes .config, so keep a copy), or give another tree"
	fi
}

# make_options TREE OBJECTS: makes the array kbuild. The same source and configuration give the same kernel, whoever
# builds it, wherever and whenever; and debug information names the sources where they will be (build.sh: nowhere).
make_options() {
	local tree=$1 objects=$2 maps built=0
	# The times of a person's own tree are not in its content: two copies of it have others.
	[ "${source[kind]}" = path ] || built=$(stat -L -c %Y "$tree/Makefile")
	maps="-fdebug-prefix-map=$(realpath "$tree")=$nowhere/source -fdebug-prefix-map=$tree=$nowhere/source -fdebug-prefix-map=$objects=$nowhere/build"
	kbuild=(-C "$tree" O="$objects" -j"$(nproc)" CC='ccache gcc' HOSTCC='ccache gcc' "KCFLAGS=$maps" "KAFLAGS=$maps"
	"HOSTCFLAGS=${maps//-fdebug/-ffile}"
	LOCALVERSION= KBUILD_BUILD_USER=tracelab KBUILD_BUILD_HOST=tracelab KBUILD_BUILD_VERSION=1
	KBUILD_BUILD_TIMESTAMP="$(date -u -d "@$built")")
}

# configure_kernel TREE OBJECTS: nothing is compiled before every symbol that was asked for has its value.
configure_kernel() {
	local tree=$1 objects=$2 wanted=$work/wanted before=$2/tracelab.config
	printf '%s\n' "${fragments[@]}" >"$wanted"
	[ ${#config[@]} = 0 ] || printf '%s\n' "${config[@]}" >>"$wanted"
	# A person's own tree: from nothing each time, or what was a default at the last build would stay.
	[ ! -e "$objects/.config" ] || mv "$objects/.config" "$before"
	run "making $base" make "${kbuild[@]}" "$base"
	cat "$wanted" >>"$objects/.config"
	run "merging the configuration" make "${kbuild[@]}" olddefconfig
	# The same with its old time spares make from looking at everything again.
	! cmp -s "$before" "$objects/.config" || mv "$before" "$objects/.config"
	kconfig_check "$tree" "$objects/.config" "$wanted"
	# The default of it is a key that the build itself makes, at random.
	! grep -qx 'CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"' "$objects/.config" ||
		say "$step: it signs its modules with a key made at random, so it comes out otherwise each time: its result cannot be pinned (drop CONFIG_MODULE_SIG, or give a CONFIG_MODULE_SIG_KEY of your own)"
	record config "$(sha256sum <"$objects/.config" | cut -c 1-64)"
}

install_results() {
	local part=$1 tree=$2 objects=$3 modules
	cp "$objects/arch/x86/boot/bzImage" "$objects/vmlinux" "$objects/System.map" "$part/"
	cp "$objects/.config" "$part/config"
	cp "$objects/include/config/kernel.release" "$part/release"
	cp "$tree.version" "$part/source-version"
	readelf -n "$part/vmlinux" | awk '/Build ID:/ {print $3; exit}' >"$part/build-id"
	mkdir -p "$part/scripts"
	cp -rL "$tree/scripts/gdb" "$part/scripts/"
	cp -L "$objects/scripts/gdb/linux/constants.py" "$part/scripts/gdb/linux/"
	mv "$part/scripts/gdb/vmlinux-gdb.py" "$part/"
	run "installing the kernel's modules" make "${kbuild[@]}" INSTALL_MOD_PATH="$part/modules" modules_install
	rm -f "$part/modules/lib/modules"/*/{build,source}
	mapfile -t modules < <(find "$part/modules" -name '*.ko')
	named_here "$part/vmlinux" "${modules[@]}"
}

# install_build_tree PART OBJECTS: the objects folder, with the paths it will have, less what modules are not built against:
# objects, a key that signs, gdb's scripts (links into the work folder), and what says where this build was made. SystemTap
# looks for vmlinux in it.
install_build_tree() {
	local part=$1 objects=$2
	local left_out=('*.o' '*.a' '*.s' '*.elf' '*.bin' '*.cmd' '.*.d' '.tmp*' '*vmlinux*' '*.pem' bzImage ./source ./scripts/gdb './tracelab.*')
	mkdir "$part/build"
	tar -C "$objects" -c "${left_out[@]/#/--exclude=}" . | tar -x -C "$part/build"
	ln -s ../vmlinux "$part/build/vmlinux"
	cp "$objects/scripts/module.lds" "$part/build/scripts/"
	ln -s ../source "$part/build/source"
	# Half of it is compiled without HOSTCFLAGS: its debug information, and by that its build-id, name the work folder.
	[ ! -e "$part/build/tools/objtool/objtool" ] || strip -g -R .note.gnu.build-id "$part/build/tools/objtool/objtool"
	if [ "${source[kind]}" = path ]; then
		without_remains "$part/build"
	else
		sed -i "s|$work/source|$prefix/source|g" "$part/build/Makefile"
	fi
}

# without_remains BUILD: the objects of a person's own tree have something of each build before: a number (before Linux 6.1), what
# stands for symbols that were on (empty files, for make alone), and modules that are made no more.
without_remains() (
	cd "$1"
	rm -f .version
	find include/config -type f -empty -delete
	find . -mindepth 2 -name modules.order -delete
	# Before Linux 5.4 there is a kernel/ before each path, and since 6.3 it is that of an object.
	find . -type f \( -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \) -printf '%P\n' | awk '
		FILENAME == "modules.order" { sub(/\.k?o$/, ""); made[$0]; sub(/^kernel\//, ""); made[$0]; next }
		{ module = $0; sub(/\.(ko|mod|mod\.c)$/, "", module) }
		!(module in made)
	' modules.order - | xargs -r -d '\n' rm
)

# install_source PART TREE OBJECTS: the tree, but for drivers that are no part of this kernel: most of its files. A
# person's own tree is only pointed at.
install_source() {
	local part=$1 tree=$2 objects=$3 folder
	if [ "${source[kind]}" != path ]; then
		for folder in "$tree"/{drivers,sound}/*/; do
			[ -n "$(find "$objects/${folder#"$tree/"}" -name '*.o' -print -quit 2>/dev/null)" ] ||
				find "$folder" -type f ! -name 'Kconfig*' ! -name Makefile -delete
		done
	fi
	mv -T "$tree" "$part/source"
}

# A kernel that gdb cannot read is not what was asked for.
prove() {
	grep -q '^CONFIG_DEBUG_INFO=y' "$1/config" ||
		die "this kernel has no debug information" "ask for CONFIG_DEBUG_INFO_DWARF5=y, as the fragment quickstart does"
	[ -s "$1/build-id" ] || die "vmlinux has no build-id" "the linker must write one (--build-id)"
}
