#!/usr/bin/env bash
# Makes the QEMUs that libvirt starts visible to LTTng: root's session daemon, with which they register, and the group
# tracing, whose members may control it, for libvirt-qemu, as whom they run.
# No inputs. Owns on the host (ledger entries): the group tracing where it was absent (`tracing-group`),
# libvirt-qemu's membership (`tracing-member`), root's session daemon where it started it (`lttng-sessiond`).
source lib/ledger.sh
source lib/service.sh

user=libvirt-qemu

probe() {
	if ! has_group; then
		drift 'there is no group tracing'
	elif ! is_member; then
		drift "$user is not in group tracing"
	else
		ledger_probe tracing-group tracing-member
	fi
	if [ -e "$(service_pending libvirtd)" ]; then drift 'libvirtd was not restarted since its settings changed'; fi
	if ! service_running lttng-sessiond; then
		drift 'no root session daemon (lttng-sessiond) is running'
	elif ! sees_group; then
		drift 'the root session daemon was started before there was a group tracing'
	else
		ledger_probe lttng-sessiond
	fi
}

apply() {
	lock services
	id "$user" >/dev/null 2>&1 || die "there is no user $user" "install libvirt-daemon-system, which makes it"
	join_group
	service_restart_if_needed libvirtd
	start_session_daemon
}

remove() {
	lock services
	ledger_restore lttng-sessiond stop_session_daemon
	ledger_restore tracing-member leave_group
	ledger_restore tracing-group remove_group
	service_restart_if_needed libvirtd
}

has_group() { getent group tracing >/dev/null; }

is_member() { [[ " $(id -nG "$user" 2>/dev/null || :) " == *' tracing '* ]]; }

join_group() {
	ledger_claim tracing-group "$(if has_group; then printf present; else printf absent; fi)"
	has_group || run "making the group tracing" groupadd --system tracing
	ledger_claim tracing-member "$(if is_member; then printf member; else printf absent; fi)"
	if is_member; then
		say "$step: $user is in group tracing"
	else
		# libvirtd reads the groups of a user when it starts.
		service_needs_restart libvirtd
		run "adding $user to the group tracing" usermod --append --groups tracing "$user"
		say "$step: added $user to group tracing; domains that run already are in it when they start again"
	fi
}

leave_group() {
	if [ "$1" = absent ] && has_group && is_member; then
		service_needs_restart libvirtd
		run "taking $user out of the group tracing" gpasswd --delete "$user" tracing
	fi
}

remove_group() {
	if [ "$1" = absent ] && has_group; then run "removing the group tracing" groupdel tracing; fi
}

start_session_daemon() {
	ledger_claim lttng-sessiond "$(if service_running lttng-sessiond; then printf running; else printf stopped; fi)"
	if ! service_running lttng-sessiond; then
		service_start lttng-sessiond
		say "$step: started root's session daemon"
	elif ! sees_group; then
		local sessions
		sessions=$(session_names)
		[ -z "$sessions" ] || die "the root session daemon was started before there was a group tracing, and has sessions: $sessions" \
			"end them (lttng destroy), then run up again"
		service_restart lttng-sessiond
		say "$step: restarted root's session daemon, so that it sees the group tracing"
	else
		say "$step: root's session daemon is running"
	fi
}

stop_session_daemon() {
	local sessions
	[ "$1" = stopped ] && service_running lttng-sessiond || return 0
	sessions=$(session_names)
	if [ -n "$sessions" ]; then
		say "$step: root's session daemon is left running, because it has sessions: $sessions"
	else
		service_stop lttng-sessiond
	fi
}

# sees_group: the daemon looks the group up once, when it starts, and gives it its folder.
sees_group() { [ "$(stat -c %g "$root/run/lttng" 2>/dev/null)" = "$(getent group tracing | cut -d: -f3)" ]; }
