#!/usr/bin/env bash
# Daemons by name: libvirtd (with the virtlogd it needs) and lttng-sessiond (root's). systemd's units where
# systemd runs, the daemons themselves where it doesn't.
# Callers that start, stop or restart hold `lock services`.
source lib/step.sh

# Seconds until a daemon has answered, or has ended.
service_wait=30

has_systemd() { [ -d "$root/run/systemd/system" ]; }

# service_units NAME: what systemd calls it. libvirtd is started by its socket and ends itself when idle, so it
# counts as running while the socket listens.
service_units() {
	case $1 in
	libvirtd) printf '%s\n' libvirtd.socket libvirtd.service ;;
	*) printf '%s\n' "$1.service" ;;
	esac
}

# service_pid PROGRAM: prints the process id, or fails. A pid file can outlive its process, so the name is compared;
# an ended process may wait for a parent that never looks; lttng-sessiond leaves the end of a longer number behind its
# own, on a second line.
service_pid() {
	local program=$1 pid='' name='' state='' file
	case $program in
	lttng-sessiond) file=$root/run/lttng/lttng-sessiond.pid ;;
	*) file=$root/run/$program.pid ;;
	esac
	read -r pid 2>/dev/null <"$file" || :
	[ -n "$pid" ] || return 1
	read -r _ name state _ 2>/dev/null <"/proc/$pid/stat" || :
	[ "$name" = "($program)" ] && [ "$state" != Z ] && printf '%s' "$pid"
}

# service_running NAME: only looks, starts nothing.
service_running() {
	local name=$1 units
	if has_systemd; then
		mapfile -t units < <(service_units "$name")
		systemctl --quiet is-active "${units[@]}" 2>/dev/null
	else
		service_pid "$name" >/dev/null
	fi
}

service_start() {
	local name=$1 units
	if has_systemd; then
		mapfile -t units < <(service_units "$name")
		run "starting $name" systemctl start "${units[0]}"
	else
		case $name in
		libvirtd)
			service_pid virtlogd >/dev/null || daemon virtlogd -d
			service_pid libvirtd >/dev/null || daemon libvirtd -d
			;;
		lttng-sessiond) service_pid lttng-sessiond >/dev/null || daemon lttng-sessiond --daemonize ;;
		esac
	fi
	service_await "$name"
	service_settled "$name"
}

# service_restart NAME: running domains go on; virtlogd, which holds their consoles, is left alone.
service_restart() {
	local name=$1
	if has_systemd; then
		run "restarting $name" systemctl restart "$name.service"
		service_await "$name"
		service_settled "$name"
	else
		end_process "$name"
		service_start "$name"
	fi
}

service_stop() {
	local name=$1 units
	if has_systemd; then
		mapfile -t units < <(service_units "$name")
		# Its further sockets go with it; virtlogd ends by itself once it has no console left.
		run "stopping $name" systemctl stop "${units[@]}"
	else
		end_process "$name"
		if [ "$name" = libvirtd ]; then end_process virtlogd; fi
	fi
	service_settled "$name"
}

# service_needs_restart NAME: to be called before the change that asks for it, so that a step which is killed
# between the change and the restart finds out the next time.
service_needs_restart() {
	if service_running "$1"; then : | write_file "$(service_pending "$1")" 644; fi
}

service_restart_if_needed() {
	[ -e "$(service_pending "$1")" ] || return 0
	if service_running "$1"; then
		say "$step: restarting $1"
		service_restart "$1"
	else
		service_settled "$1"
	fi
}

# service_settled NAME: nothing asks for its restart any more, nor does what a kill left of such a note.
service_settled() {
	rm -f "$state_dir/restart/$1" "$state_dir/restart/.$1.tracelab-part"
	rmdir --ignore-fail-on-non-empty "$state_dir/restart" 2>/dev/null || :
}

service_pending() { printf '%s' "$state_dir/restart/$1"; }

# service_await NAME: until it answers, not only runs.
service_await() {
	local name=$1 deadline answer=''
	deadline=$(($(seconds_up) + service_wait))
	until answer=$(service_answers "$name" 2>&1 >/dev/null </dev/null); do
		[ "$(seconds_up)" -lt "$deadline" ] || die "$name does not answer after $service_wait s: ${answer:-no error text}" \
			"see its messages (journalctl -u $name, or run $name in the foreground) and $log_file"
		sleep 0.1
	done
}

service_answers() {
	case $1 in
	# `version` would want an emulator, and Debian's may be absent.
	libvirtd) timeout 10 virsh -c qemu:///system list --name ;;
	lttng-sessiond) timeout 10 lttng --no-sessiond list ;;
	esac
}

# daemon PROGRAM ARGUMENT…: starts a program that puts itself in the background. It must not inherit what the
# step holds (the lock would stay held, and who reads the step's output would wait forever) nor what the step's
# environment carries.
daemon() {
	local fd
	mkdir -p "${log_file%/*}"
	printf '\n$ %s\n' "${*@Q}" >>"$log_file"
	(
		for fd in "/proc/$BASHPID/fd/"*; do
			fd=${fd##*/}
			if [ "$fd" -gt 2 ]; then exec {fd}>&-; fi
		done
		exec env -i PATH="$PATH" HOME="${HOME:-/root}" LANG=C.UTF-8 setsid "$@"
	) >>"$log_file" 2>&1 </dev/null || die "$1 did not start" "see $log_file"
}

# end_process PROGRAM: asks it to end and waits until it has.
end_process() {
	local pid tenths=0
	pid=$(service_pid "$1") || return 0
	kill "$pid" 2>/dev/null || :
	while service_pid "$1" >/dev/null; do
		[ "$tenths" -lt $((service_wait * 10)) ] || die "$1 (process $pid) does not end" "end it by hand: kill -9 $pid"
		tenths=$((tenths + 1))
		sleep 0.1
	done
}

# running_domains: prints the names of libvirt's running QEMU domains, whoever's; asks no daemon. A domain has its
# state beside its pid file; the driver's own pid file has none.
running_domains() {
	local file pid
	for file in "$root/run/libvirt/qemu/"*.xml; do
		pid=$(cat "${file%.xml}.pid" 2>/dev/null || :)
		if [ -n "$pid" ] && [ -e "/proc/$pid" ]; then basename "$file" .xml; fi
	done
}

# session_names: prints the names of the trace sessions of root's session daemon, whoever's, in one line; starts no daemon.
session_names() {
	lttng --no-sessiond --mi xml list 2>/dev/null </dev/null | grep -o '<session><name>[^<]*' | sed 's/.*>//' | paste -sd ' ' || :
}
