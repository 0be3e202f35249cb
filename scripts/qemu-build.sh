#!/usr/bin/env bash
# A QEMU of the lab's own.
# Inputs:
#   prefix          /opt/tracelab/qemu/HASH
#   source          where its source comes from (lib/source.sh)
#   targets         QEMU targets, such as x86_64-softmmu
#   trace_backends  trace backends, such as ust (LTTng-UST)
#   configure       further options of QEMU's configure
# Owns the prefix: bin/, version (QEMU's own), source-version (what it was built from).
# Outputs version.
source lib/source.sh
: "${targets[*]:?}" "${trace_backends[*]:?}" "${configure[*]-}"

thing=QEMU
tools+=(meson)

apply() {
	build_apply "$thing" build
	output version "$(<"$root$prefix/version")"
}

# Off is all that a traced guest does not use; on is what libvirt passes options for (seccomp, vhost), what the
# lab's own domains use (virtfs for modules, slirp for a network on loopback), and both accelerators.
features=(
	--without-default-features --disable-docs --disable-install-blobs --disable-debug-info
	--enable-system --enable-kvm --enable-tcg --enable-fdt=system --enable-seccomp --enable-cap-ng
	--enable-vhost-net --enable-vhost-kernel --enable-vhost-user --enable-virtfs --enable-attr --enable-slirp
)

# The programs of the targets. Everything else that QEMU builds is tests and tools: 900 of its 2,500 steps.
emulators=()
for target in "${targets[@]}"; do
	case $target in
	*-softmmu) emulators+=("qemu-system-${target%-softmmu}") ;;
	*) emulators+=("qemu-${target%%-*}") ;;
	esac
done

build() {
	local part=$1 tree=$work/source objects
	objects=$(objects_folder)
	say "$step: fetching QEMU's source"
	source_fetch "$tree"
	use_ccache
	# Python's caches would be written into a person's own tree; and its version is what it says, not what its git knows.
	export PYTHONDONTWRITEBYTECODE=1
	[ "${source[kind]}" != path ] || export GIT_DIR=/dev/null
	configure_qemu "$(realpath "$tree")" "$objects"
	# By itself ninja counts processors, whatever nproc is told.
	run_long "building QEMU" ninja -C "$objects" -j"$(nproc)" "${emulators[@]}"
	install_qemu "$objects" "$part"
	cp "$tree.version" "$part/source-version"
	prove "$part"
}

# configure_qemu TREE OBJECTS: once for a person's own tree; ninja itself sees to what changes there later, but for the options of
# configure and meson, which keep the defaults that they had: where these may have changed, all is made anew.
configure_qemu() {
	local tree=$1 objects=$2 given asked
	given=(--prefix=/opt/tracelab/qemu --cc='ccache gcc' --target-list="$(IFS=, && printf '%s' "${targets[*]}")"
	--enable-trace-backends="$(IFS=, && printf '%s' "${trace_backends[*]}")"
	--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu "${features[@]}")
	# With a C++ compiler QEMU is linked by that, and otherwise; its own parts for x86 have no C++.
	! knows "$tree" --cxx= || given+=(--cxx=false)
	# Assertions in headers name them; not by where this build happens to be made.
	given+=("--extra-cflags=-fmacro-prefix-map=$tree/=")
	# Before 8.1 configure has a meson of its own, and writes submodules into the tree; later ones know neither option.
	! knows "$tree" --meson= || given+=(--meson=/usr/bin/meson)
	if [ "${source[kind]}" = path ]; then
		! knows "$tree" --with-git-submodules || given+=(--with-git-submodules=ignore)
		! knows "$tree" --disable-download || given+=(--disable-download)
	fi
	given+=("${configure[@]}")
	asked="$tree ${given[*]} $(defaults "$tree" | sha256sum)"
	if [ -e "$objects/build.ninja" ] && [ "$(cat "$objects/tracelab.configure" 2>/dev/null || :)" = "$asked" ]; then
		# Where meson's files changed; now, not on the way: it writes config-host.h.
		run "configuring QEMU again" ninja -C "$objects" build.ninja
	else
		rm -rf --one-file-system -- "$objects"
		mkdir -p "$objects"
		run "configuring QEMU" in_folder "$objects" "$tree/configure" "${given[@]}"
		printf '%s' "$asked" >"$objects/tracelab.configure"
	fi
	# No option leaves it out: coroutines tell valgrind of their stacks wherever its headers happen to be.
	! grep -qs '^#define CONFIG_VALGRIND_H' "$objects/config-host.h" || sed -i '/^#define CONFIG_VALGRIND_H/d' "$objects/config-host.h"
}

# defaults TREE: the files that have those of options.
defaults() { cat "$1"/{configure,meson.build,meson_options.txt,scripts/meson-buildoptions.sh} 2>/dev/null || :; }

knows() { grep -q -e "$2" "$1/configure" "$1/scripts/meson-buildoptions.sh" 2>/dev/null; }

# install_qemu OBJECTS PART: QEMU looks for its files relative to where it is; firmware is Debian's.
install_qemu() {
	local objects=$1 part=$2 name
	mkdir -p "$part/bin"
	for name in "${emulators[@]}"; do install -m 755 "$objects/$name" "$part/bin/"; done
}

# A build that cannot start, or that lacks its tracepoints, must never get the name of a finished one.
prove() {
	local name emulator linked
	for name in "${emulators[@]}"; do
		emulator=$1/bin/$name
		run "starting the new $name" "$emulator" --version
		linked=$(ldd "$emulator")
		[[ " ${trace_backends[*]} " != *' ust '* || $linked = *liblttng-ust.so* ]] ||
			die "the new $name is not linked with LTTng-UST" "see the configure output in $log_file"
	done
	"$emulator" --version | sed -n '1s/.*version \([^ ]*\).*/\1/p' >"$1/version"
}
