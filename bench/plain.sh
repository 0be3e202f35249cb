#!/usr/bin/env bash
# What a person types to get the parts of the quickstart lab without a lab: the same sources, options, targets and
# number of jobs, with no cache.
#   plain.sh FOLDER PART…    runs parts, functions of this script, one after the other in FOLDER, which they fill; what
#                            they print goes to FOLDER/log
# Of an image, a lab does more: it packs it so that it is the same each time.
set -euo pipefail
shopt -s inherit_errexit

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$1
objects=$folder/quickstart

qemu() {
	apt_ bookworm source qemu
	cd qemu-*/
	mkdir build
	cd build
	../configure --target-list=x86_64-softmmu --enable-trace-backends=ust --without-default-features --disable-docs \
		--disable-install-blobs --disable-debug-info --enable-system --enable-kvm --enable-tcg --enable-fdt=system \
		--enable-seccomp --enable-cap-ng --enable-vhost-net --enable-vhost-kernel --enable-vhost-user --enable-virtfs \
		--enable-attr --enable-slirp --meson=/usr/bin/meson
	ninja -j"$(nproc)" qemu-system-x86_64
}

kernel_source() {
	apt_ bookworm download linux-source-6.1
	dpkg-deb --fsys-tarfile linux-source-6.1_*.deb | tar -x --strip-components=3 --wildcards './usr/src/*.tar.xz'
	tar -xf linux-source-6.1.tar.xz
}

quickstart_kernel() {
	configure "$objects" "$project/kconfig/quickstart.config" tinyconfig
	kbuild "$objects" bzImage modules
}

# What a person takes who wants a kernel for any guest, with debug information.
defconfig_kernel() {
	echo CONFIG_DEBUG_INFO_DWARF5=y >dwarf5.config
	configure "$folder/defconfig" dwarf5.config defconfig kvm_guest.config
	grep -x CONFIG_DEBUG_INFO_DWARF5=y defconfig/.config
	kbuild "$folder/defconfig" bzImage modules
}

gdb_scripts() { kbuild "$objects" scripts_gdb; }

module() {
	cp -r "$project/examples/mymodule" mymodule
	make -C "$objects" M="$folder/mymodule" -j"$(nproc)" modules
}

lttng_modules() {
	apt_ sid download lttng-modules-dkms
	dpkg-deb -x lttng-modules-dkms_*.deb lttng
	make -C "$objects" M="$(echo "$folder"/lttng/usr/src/*)" CONFIG_LTTNG=m KCFLAGS=-g0 -j"$(nproc)" modules
}

guest_tools() {
	local file
	for file in "$project"/guest/*.c; do
		gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -o "$(basename "$file" .c)" "$file"
	done
}

image() {
	sources bookworm >image.list
	mmdebstrap --variant=minbase --format=directory --aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--include=systemd-sysv,qemu-guest-agent,kmod,procps,lttng-tools,systemtap-runtime bookworm tree "$folder/image.list"
	truncate -s 4G raw
	mke2fs -q -t ext4 -d tree raw
	qemu-img convert -f raw -O qcow2 raw image.qcow2
}

kbuild() { make -C "$folder/linux-source-6.1" O="$1" -j"$(nproc)" "${@:2}"; }

# configure OBJECTS LINES TARGET…: the configuration that make's targets give, with the lines of that file on top.
configure() {
	kbuild "$1" "${@:3}"
	cat "$2" >>"$1/.config"
	kbuild "$1" olddefconfig
}

# apt_ SUITE ARGUMENT…: an apt-get that knows that suite alone.
apt_() {
	local own=$folder/apt-$1
	if [ ! -e "$own" ]; then
		mkdir -p "$own/lists/partial"
		sources "$1" >"$own/sources.list"
		apt_ "$1" update
	fi
	shift
	apt-get -o Dir::Etc::sourcelist="$own/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$own/lists" \
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
		-o Acquire::Check-Valid-Until=false "$@"
}

# sources SUITE: apt's lines for it, and for its security updates, from the mirrors of this host.
sources() {
	local mirror security
	mirror=$(mirrors | grep -v security | sed -n 1p)
	security=$(mirrors | grep security | sed -n 1p || :)
	printf '%s %s %s main\n' deb "$mirror" "$1" deb-src "$mirror" "$1"
	[ "$1" = sid ] || [ -z "$security" ] || printf '%s %s %s-security main\n' deb "$security" "$1" deb-src "$security" "$1"
}

mirrors() {
	{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || :; } |
		sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' | grep debian
}

main() {
	local part
	cd "$folder"
	# apt leaves off being root where it can.
	chmod 755 .
	for part in "${@:2}"; do ("$part") >>log 2>&1; done
}

main "$@"
