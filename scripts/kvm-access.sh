#!/usr/bin/env bash
# Lets libvirt's QEMU, which runs as libvirt-qemu in the group kvm, open /dev/kvm. Where udev runs, it does that;
# elsewhere the device is root's alone, and libvirt, which finds KVM "available when probed, not now", probes
# every emulator again for seconds at each look: one domain took 117 s to create.
# No inputs. Owns on the host: the group and mode of /dev/kvm where it changed them (ledger entry `kvm-access`).
source lib/ledger.sh

device=$root/dev/kvm

probe() {
	if ! is_open; then drift "/dev/kvm is not open to the group kvm ($(stat -c '%U:%G %a' "$device"))"; fi
}

apply() {
	lock kvm-access
	if is_open && [ ! -e "$state_dir/ledger/kvm-access" ]; then
		say "$step: nothing to do, /dev/kvm is $(state_in_words)"
		return
	fi
	[ -e "$device" ] || return 0
	getent group kvm >/dev/null || die "there is no group kvm" "install libvirt-daemon-system, which makes it"
	ledger_claim kvm-access "$(stat -c '%u:%g %a' "$device")"
	if is_open; then
		say "$step: /dev/kvm is open to the group kvm"
	else
		chgrp "$(kvm_group)" "$device"
		chmod 660 "$device"
		say "$step: /dev/kvm opened to the group kvm"
	fi
}

remove() {
	local before
	lock kvm-access
	if ledger_last kvm-access && [ -e "$device" ]; then
		# Somebody else's later change, such as udev's, stays.
		if [ "$(stat -c '%g %a' "$device")" = "$(kvm_group) 660" ]; then
			before=$(ledger_before kvm-access)
			chown "${before% *}" "$device"
			chmod "${before#* }" "$device"
		else
			say "$step: /dev/kvm was changed since and is left as it is"
		fi
	fi
	ledger_release kvm-access
}

# is_open: no device is as good as an open one, there is nothing to do.
is_open() {
	local group mode
	[ -e "$device" ] || return 0
	read -r group mode < <(stat -c '%g %a' "$device")
	# Readable and writable for all, or for the group kvm.
	[ $((0$mode & 6)) = 6 ] || { [ "$group" = "$(kvm_group)" ] && [ $((0$mode & 060)) = $((060)) ]; }
}

state_in_words() { if [ -e "$device" ]; then printf 'open already'; else printf 'absent'; fi; }

kvm_group() { getent group kvm | cut -d: -f3 || :; }
