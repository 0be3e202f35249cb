#!/usr/bin/env bash
# libvirt as the lab needs it: libvirtd answers, names its QEMU processes, and, where AppArmor is on, may run
# emulators from the lab's prefixes; virtlogd, without which no domain starts, runs.
# Input:
#   emulators  array of prefixes of QEMU builds, /opt/tracelab/qemu/HASH; may be empty
# Owns on the host: marked lines in /etc/libvirt/qemu.conf (ledger entry `set-process-name`) and, a stack its own,
# in /etc/apparmor.d/local; libvirtd and virtlogd where it started them (ledger entry `libvirtd`).
# Output: uri.
source lib/ledger.sh
source lib/marked.sh
source lib/service.sh
: "${emulators[*]-}"

qemu_conf=$root/etc/libvirt/qemu.conf
apparmor=$root/etc/apparmor.d

probe() {
	if [ ! -e "$qemu_conf" ]; then
		drift 'libvirt is not installed (/etc/libvirt/qemu.conf is absent)'
		return
	fi
	if ! names_processes; then drift 'set_process_name is not 1 in /etc/libvirt/qemu.conf'; fi
	if ! rules_are_there; then drift 'AppArmor does not allow libvirt to run the emulators of this lab'; fi
	if [ -n "$(marked_text "$qemu_conf")" ]; then ledger_probe set-process-name; fi
	if ! service_running libvirtd; then
		drift 'libvirtd is not running'
	elif [ -e "$(service_pending libvirtd)" ]; then
		drift 'libvirtd was not restarted since its settings changed'
	elif ! service_answers libvirtd >/dev/null 2>&1; then
		drift 'libvirtd does not answer'
	else
		ledger_probe libvirtd
		virtlogd_is_there || drift 'virtlogd is not running'
	fi
}

apply() {
	lock services
	[ -e "$qemu_conf" ] || die '/etc/libvirt/qemu.conf is absent' 'install libvirt-daemon-system'
	ledger_claim libvirtd "$(if service_running libvirtd; then printf running; else printf stopped; fi)"
	name_processes
	allow_emulators
	if service_running libvirtd; then
		virtlogd_is_there || start_virtlogd
		service_restart_if_needed libvirtd
		service_answers libvirtd >/dev/null 2>&1 || service_restart libvirtd
		say "$step: libvirtd is running"
	else
		service_start libvirtd
		say "$step: started libvirtd"
	fi
	output uri qemu:///system
}

remove() {
	lock services
	forbid_emulators
	ledger_restore set-process-name forget_process_names
	ledger_restore libvirtd stop_libvirt
	service_restart_if_needed libvirtd
}

# Where systemd runs, its socket starts it.
virtlogd_is_there() { has_systemd || service_pid virtlogd >/dev/null; }

# A QEMU writes its console's log into a pipe of the virtlogd that there was when it started.
start_virtlogd() {
	local domains
	daemon virtlogd -d
	mapfile -t domains < <(running_domains)
	say "$step: started virtlogd${domains[*]:+, which logs the consoles of these again once they are started again: ${domains[*]}}"
}

# names_processes: libvirt takes the first of several equal keys, so that our lines, at the top, win over a later
# `set_process_name = 0`, and that line can stay as it is.
names_processes() {
	[ "$(sed -nE '/^[[:space:]]*set_process_name[[:space:]]*=/{s/^[^=]*=[[:space:]]*([0-9]+).*/\1/p;q}' "$qemu_conf")" = 1 ]
}

name_processes() {
	if names_processes && [ -z "$(marked_text "$qemu_conf")" ]; then
		say "$step: set_process_name is 1 already"
		return
	fi
	ledger_claim set-process-name 'marked lines'
	if names_processes; then return; fi
	service_needs_restart libvirtd
	marked_set "$qemu_conf" '# Names each QEMU process after its domain. The first line of its kind wins over later ones.
set_process_name = 1'
	say "$step: set_process_name = 1 in /etc/libvirt/qemu.conf"
}

forget_process_names() {
	[ -n "$(marked_text "$qemu_conf")" ] || return 0
	service_needs_restart libvirtd
	marked_set "$qemu_conf" ''
}

stop_libvirt() {
	local domains
	[ "$1" = stopped ] || return 0
	mapfile -t domains < <(running_domains)
	if [ ${#domains[@]} -gt 0 ]; then
		say "$step: libvirtd is left running, because domains are: ${domains[*]}"
	else
		service_stop libvirtd
	fi
}

# AppArmor. libvirt's profiles know emulators in the distribution's folders alone; each includes a file of local
# additions. These rules were written from the profiles of libvirt 9.0 and have not been run: no host with
# AppArmor was at hand. The profile of QEMU denies /dev/shm/lttng-ust-wait-*, which no addition can undo: a
# traced QEMU then finds the session daemon only if that runs first, which the lab sees to. The kernel may have it on where
# nothing is installed that could load a profile, as in a container.
apparmor_is_on() {
	local enabled=''
	read -r enabled 2>/dev/null <"$root/sys/module/apparmor/parameters/enabled" || :
	[ "$enabled" = Y ] && command -v apparmor_parser >/dev/null
}

# apparmor_rules FILE: the lines of this stack in a file of local additions; they end in a comma.
apparmor_rules() {
	local prefix
	for prefix in "${emulators[@]}"; do
		case $1 in
		usr.sbin.libvirtd) printf '%s\n' "$prefix/bin/* PUx," ;;
		abstractions/libvirt-qemu) printf '%s\n' "$prefix/bin/* rmix," "$prefix/share/** r," ;;
		esac
	done
	# What LTTng-UST inside QEMU opens.
	if [ "$1" = abstractions/libvirt-qemu ]; then
		printf '%s\n' '/{var/,}run/lttng/** rw,' '/{dev,run}/shm/*ust-shm* rw,'
	fi
}

apparmor_files=(usr.sbin.libvirtd abstractions/libvirt-qemu)

rules_are_there() {
	local file
	apparmor_is_on && [ ${#emulators[@]} -gt 0 ] || return 0
	[ ! -e "$(service_pending apparmor)" ] || return 1
	for file in "${apparmor_files[@]}"; do
		[ "$(marked_text "$apparmor/local/$file" "$stack")" = "$(apparmor_rules "$file")" ] || return 1
	done
}

allow_emulators() {
	local file
	if rules_are_there; then return; fi
	: | write_file "$(service_pending apparmor)" 644
	for file in "${apparmor_files[@]}"; do
		marked_set "$apparmor/local/$file" "$(apparmor_rules "$file")" "$stack"
	done
	reload_apparmor
	say "$step: AppArmor allows libvirt to run ${emulators[*]}"
}

forbid_emulators() {
	local file
	for file in "${apparmor_files[@]}"; do
		[ -n "$(marked_text "$apparmor/local/$file" "$stack")" ] || continue
		: | write_file "$(service_pending apparmor)" 644
		marked_set "$apparmor/local/$file" '' "$stack"
	done
	[ ! -e "$(service_pending apparmor)" ] || reload_apparmor
}

# A domain's own profile is made when it starts, and takes the abstraction as it is then.
reload_apparmor() {
	! apparmor_is_on || run "reloading libvirt's AppArmor profile" apparmor_parser --replace "$apparmor/usr.sbin.libvirtd"
	service_settled apparmor
}
