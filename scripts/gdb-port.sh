#!/usr/bin/env bash
# Reserves the loopback TCP port of a domain's gdbstub, so that stacks never meet on one.
# Inputs:
#   domain  the domain's name in libvirt
#   port    a port number, or empty: the lowest free one from 1234 up, gdb's and QEMU's own habit
# Owns $state_dir/ports/PORT, which holds the domain's name.
source lib/step.sh
: "${domain:?}" "${port?}"

ports=$state_dir/ports

reserved() {
	local file
	for file in "$ports"/*; do
		if [ -e "$file" ] && [ "$(<"$file")" = "$domain" ]; then
			printf '%s' "${file##*/}"
			return
		fi
	done
}

listener() { ss -Hltnp "sport = :$1" 2>/dev/null | grep -oE 'users:\(\("[^"]*",pid=[0-9]+' | head -n 1 | tr -d '("' | sed 's/users://; s/,pid=/, process /' || :; }

probe() {
	local mine
	mine=$(reserved)
	if [ -z "$mine" ]; then
		drift "no gdb port is reserved for $domain"
	elif [ -n "$port" ] && [ "$mine" != "$port" ]; then
		drift "gdb port $mine is reserved for $domain, not $port"
	fi
}

apply() {
	local mine
	lock ports
	mine=$(reserved)
	if [ -n "$mine" ] && { [ -z "$port" ] || [ "$port" = "$mine" ]; }; then
		output port "$mine"
		return
	fi
	[ -z "$mine" ] || rm -f "$ports/$mine"
	if [ -n "$port" ]; then
		mine=$port
		[ ! -e "$ports/$port" ] || die "gdb port $port is reserved for the domain $(<"$ports/$port")" \
			"give another port in the stack file, or none, and the lab chooses"
		[ -z "$(listener "$port")" ] || die "gdb port $port is in use by $(listener "$port")" \
			"stop that process, give another port in the stack file, or none, and the lab chooses"
	else
		mine=1234
		while [ -e "$ports/$mine" ] || [ -n "$(ss -Hltn "sport = :$mine")" ]; do mine=$((mine + 1)); done
	fi
	printf '%s\n' "$domain" | write_file "$ports/$mine" 644
	output port "$mine"
}

remove() {
	local mine
	lock ports
	mine=$(reserved)
	[ -z "$mine" ] || rm -f "$ports/$mine"
	rmdir --ignore-fail-on-non-empty "$ports" 2>/dev/null || :
}
