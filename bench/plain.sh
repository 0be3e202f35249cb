#!/usr/bin/env bash
# What a person types to get the parts of the quickstart lab without a lab: the same sources, options, targets and
# number of jobs, one after the other, with no cache. Input: an empty folder, which it fills.
set -euo pipefail
shopt -s inherit_errexit

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$1

qemu() {
	apt_ source qemu
	cd qemu-*/
	mkdir build
	cd build
	../configure --target-list=x86_64-softmmu --enable-trace-backends=ust --without-default-features --disable-docs \
		--disable-install-blobs --disable-debug-info --enable-system --enable-kvm --enable-tcg --enable-fdt=system \
		--enable-seccomp --enable-cap-ng --enable-vhost-net --enable-vhost-kernel --enable-vhost-user --enable-virtfs \
		--enable-attr --enable-slirp --meson=/usr/bin/meson
	ninja -j"$(nproc)" qemu-system-x86_64
}

kernel() {
	apt_ download linux-source-6.1
	dpkg-deb --fsys-tarfile linux-source-6.1_*.deb | tar -x --strip-components=3 --wildcards './usr/src/*.tar.xz'
	tar -xf linux-source-6.1.tar.xz
	cd linux-source-6.1
	make tinyconfig
	cat "$project/kconfig/quickstart.config" >>.config
	make olddefconfig
	make -j"$(nproc)" bzImage modules scripts_gdb
}

module() {
	cp -r "$project/examples/mymodule" "$folder/mymodule"
	make -C "$folder/linux-source-6.1" M="$folder/mymodule" modules
}

image() {
	mmdebstrap --variant=minbase --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
		--include=systemd-sysv,qemu-guest-agent,kmod,procps,lttng-tools,systemtap-runtime bookworm tree "$folder/sources.list"
	truncate -s 4G raw
	mke2fs -q -t ext4 -d tree raw
	qemu-img convert -f raw -O qcow2 raw image.qcow2
}

apt_() {
	apt-get -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$folder/lists" \
		-o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false "$@"
}

main() {
	local part
	cd "$folder"
	mkdir -p lists/partial
	{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null || :; } |
		sed -n 's/^URIs: *//p; s/^deb \([^ ]*\) .*/\1/p' | sort -u | grep debian | grep -v security | sed -n 1p |
		sed 's|.*|deb & bookworm main\ndeb-src & bookworm main|' >sources.list
	apt_ update >log 2>&1
	for part in qemu kernel module image; do ("$part") >>log 2>&1; done
}

main "$@"
