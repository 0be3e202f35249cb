#!/usr/bin/env bash
# A QEMU of the lab's own.
# Inputs:
#   prefix          /opt/tracelab/qemu/HASH
#   source          where its source comes from (lib/source.sh)
#   targets         QEMU targets, such as x86_64-softmmu
#   trace_backends  trace backends, such as ust (LTTng-UST)
#   configure       further options of QEMU's configure
# Owns the prefix. $prefix/source-version says what it was built from.
source lib/source.sh
: "${targets[*]:?}" "${trace_backends[*]:?}" "${configure[*]-}"

probe() {
	build_probe "QEMU"
	source_probe "QEMU"
}

apply() { build_apply "QEMU" build; }

remove() { build_remove "QEMU"; }

# Off is all that a traced guest does not use; on is what libvirt passes options for (seccomp, vhost), what the
# lab's own domains use (virtfs for modules, slirp for a network on loopback), and both accelerators.
features=(
	--without-default-features --disable-docs --disable-install-blobs --disable-debug-info
	--enable-system --enable-kvm --enable-tcg --enable-fdt=system --enable-seccomp --enable-cap-ng
	--enable-vhost-net --enable-vhost-kernel --enable-vhost-user --enable-virtfs --enable-attr --enable-slirp
)

# build PART: builds into the folder PART. QEMU looks for its files relative to where it was configured to be.
build() {
	local part=$1 tree=$1.source
	scratch+=("$tree" "$tree.version" "$part.build")
	rm -rf --one-file-system "$tree" "$part.build"
	source_tree "$tree"
	mkdir -p "$part.build" "$cache_dir/ccache"
	export CCACHE_DIR=$cache_dir/ccache CCACHE_BASEDIR=$part.build CCACHE_NOHASHDIR=1
	run "configuring QEMU" in_folder "$part.build" "$tree/configure" --prefix="$prefix" --cc='ccache gcc' \
		--target-list="$(IFS=, && printf '%s' "${targets[*]}")" \
		--enable-trace-backends="$(IFS=, && printf '%s' "${trace_backends[*]}")" \
		--meson=/usr/bin/meson --firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu \
		"${features[@]}" "${configure[@]}"
	run_long "building QEMU" ninja -C "$part.build"
	run "installing QEMU" env DESTDIR="$part.install" ninja -C "$part.build" install
	scratch+=("$part.install")
	mv "$part.install$prefix"/* "$part/"
	cp "$tree.version" "$part/source-version"
	prove "$part"
}

# A build that cannot start, or that lacks its tracepoints, must never get the name of a finished one.
prove() {
	local emulator=$1/bin/qemu-system-x86_64
	run "starting the new QEMU" "$emulator" --version
	"$emulator" --version | sed -n '1s/.*version //p' >"$1/version"
	case " ${trace_backends[*]} " in
	*' ust '*) ldd "$emulator" | grep -q liblttng-ust.so ||
		die "the new QEMU is not linked with LTTng-UST" "see the configure output in $log_file" ;;
	esac
}
