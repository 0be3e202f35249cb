#!/usr/bin/env bash
# Lets libvirt's QEMU, which runs as libvirt-qemu in the group kvm, open /dev/kvm. Where udev runs, it does that;
# elsewhere the device is root's alone, and libvirt, which finds KVM "available when probed, not now", probes
# every emulator again for seconds at each look: one domain took 117 s to create.
# No inputs. Owns on the host: the group and mode of /dev/kvm where it changed them (ledger entry `kvm-access`).
source lib/ledger.sh

device=$root/dev/kvm

probe() {
	if ! is_open; then
		drift "/dev/kvm is not open to the group kvm ($(stat -c '%U:%G %a' "$device"))"
	elif [ -e "$device" ] && ledger_owned kvm-access; then
		ledger_probe kvm-access
	fi
}

apply() {
	lock kvm-access
	if is_open && ! ledger_owned kvm-access; then
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
	lock kvm-access
	ledger_restore kvm-access put_back
}

# put_back BEFORE: somebody else's later change, such as udev's, stays.
put_back() {
	[ -e "$device" ] || return 0
	# Or as a kill half-way through this left it.
	if [ "$(stat -c '%g %a' "$device")" = "$(kvm_group) 660" ] || [ "$(stat -c '%u:%g %a' "$device")" = "${1% *} 660" ]; then
		chown "${1% *}" "$device"
		chmod "${1#* }" "$device"
	else
		say "$step: /dev/kvm was changed since and is left as it is"
	fi
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
