#!/usr/bin/env bash
# What a guest's root file system has beyond Debian's packages, and what it leaves out.
#
# It is made for a quick emulated boot: no udev and no logind (some 10 s of 17), since the devices are known and
# nobody logs in but root on the serial console. The lab reaches the guest through the agent.
source lib/step.sh

# guest_tree TREE: everything below, in the tree.
guest_tree() {
	guest_agent "$1"
	guest_share "$1"
	guest_console "$1"
	guest_without "$1"
	guest_identity "$1"
}

# guest_agent TREE: Debian's unit waits for udev's link to the port; ours looks for the port by its name.
guest_agent() {
	write_file "$1/usr/local/sbin/tracelab-agent" 755 <<-'AGENT'
		#!/bin/sh
		for port in /sys/class/virtio-ports/*; do
			read -r name <"$port/name" && [ "$name" = org.qemu.guest_agent.0 ] || continue
			exec qemu-ga --method=virtio-serial --path="/dev/${port##*/}" --statedir=/run
		done
		exit 1
	AGENT
	unit "$1" sysinit.target tracelab-agent.service <<-'UNIT'
		[Unit]
		Description=QEMU guest agent on the lab's channel
		DefaultDependencies=no
		After=local-fs.target tracelab-modules.service
		StartLimitIntervalSec=0

		[Service]
		ExecStart=/usr/local/sbin/tracelab-agent
		Restart=always
		RestartSec=200ms
	UNIT
}

# guest_share TREE: /lab comes from the host, read-only: the lab's programs, and /lib/modules with the list of what to
# load. A module that cannot be loaded does not keep the others, or the agent, from coming up: the lab sees that it is
# missing.
guest_share() {
	mkdir -p "$1/lab" "$1/usr/lib/modules"
	write_file "$1/etc/fstab" 644 <<-'FSTAB'
		lab /lab 9p trans=virtio,version=9p2000.L,msize=512000,ro 0 0
		/lab/lib/modules /usr/lib/modules none bind 0 0
	FSTAB
	unit "$1" sysinit.target tracelab-modules.service <<-'UNIT'
		[Unit]
		Description=The lab's kernel modules
		DefaultDependencies=no
		RequiresMountsFor=/usr/lib/modules

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/bin/sh -c 'xargs -r -n 1 modprobe </usr/lib/modules/load'
	UNIT
}

# guest_console TREE: root on the serial console with no password: it is a unix socket that only root can open.
# systemd's own serial-getty waits for udev to announce the device.
guest_console() {
	unit "$1" multi-user.target tracelab-console.service <<-'UNIT'
		[Unit]
		Description=Root's shell on the serial console

		[Service]
		ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200 ttyS0 xterm
		Restart=always
		StandardInput=tty
		StandardOutput=tty
		TTYPath=/dev/ttyS0
		TTYReset=yes
	UNIT
	sed -i 's/^root:[^:]*:/root::/' "$1/etc/shadow"
}

# Units that cost boot time and serve nobody in a guest that lives for hours, by why.
left_out=(
	# Ours take their places.
	qemu-guest-agent.service serial-getty@ttyS0.service getty.target
	# Sessions and seats: nobody logs in.
	systemd-logind.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
	# Upkeep of a machine that stays.
	e2scrub_reap.service e2scrub_all.timer fstrim.timer apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
	systemd-tmpfiles-clean.timer systemd-pstore.service systemd-journal-catalog-update.service
	# A first boot that asks for a locale and a time zone.
	systemd-firstboot.service
	# Settings of things that the lab's kernel does not have.
	systemd-sysctl.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
	# Modules that the kernel loads by itself where it has them, and device nodes to load them by.
	modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@fuse.service modprobe@loop.service
	systemd-tmpfiles-setup-dev.service
	# What is done already: the packages made their users, the kernel mounted the root file system for writing, and
	# gathers randomness.
	systemd-sysusers.service systemd-remount-fs.service systemd-random-seed.service
)

guest_without() {
	local tree=$1 name
	for name in "${left_out[@]}"; do ln -sf /dev/null "$tree/etc/systemd/system/$name"; done
	# lttng starts it when it is first used.
	rm -f "$tree"/etc/systemd/system/*.wants/lttng-sessiond.service
	ln -sf /lib/systemd/system/multi-user.target "$tree/etc/systemd/system/default.target"
}

# guest_identity TREE: each guest gets its own at boot: the name from the kernel's command line. Nothing is said of the host
# that the tree was made on, nor of where its packages were.
guest_identity() {
	: >"$1/etc/machine-id"
	rm -f "$1/etc/hostname" "$1/etc/resolv.conf" "$1/etc/apt/sources.list"
}

# unit TREE TARGET NAME: a unit of ours from standard input, started with TARGET.
unit() {
	local folder=$1/etc/systemd/system
	write_file "$folder/$3" 644
	mkdir -p "$folder/$2.wants"
	ln -sf "../$3" "$folder/$2.wants/$3"
}
