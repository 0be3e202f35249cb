#!/usr/bin/env bash
# Reserves the loopback TCP port of a domain's gdbstub, so that stacks never meet on one.
# Inputs:
#   domain  the domain's name in libvirt
#   port    a port number, or empty: the lowest free one from 1234 up, gdb's and QEMU's own habit
# Owns $state_dir/ports/PORT, which holds the domain's name.
source lib/listener.sh
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
		say "$step: gdb port $mine is reserved for $domain"
	else
		reserve "$mine"
		mine=$(reserved)
		say "$step: reserved gdb port $mine for $domain"
	fi
	output port "$mine"
}

# reserve OLD: the old reservation goes once it is sure that the new one can be had.
reserve() {
	local old=$1 new=$port
	if [ -n "$new" ]; then free_or_die "$new"; else new=$(lowest_free); fi
	[ -z "$old" ] || rm -f "$ports/$old"
	printf '%s\n' "$domain" | write_file "$ports/$new" 644
}

# free_or_die PORT: in one stack file it is one domain's, so another of the stack had it before it was renamed, or got another.
free_or_die() {
	local who
	[ ! -e "$ports/$1" ] || [[ $(<"$ports/$1") == "$stack"-* ]] || die "gdb port $1 is reserved for the domain $(<"$ports/$1")" \
		"give another port in the stack file, or none, and the lab chooses"
	who=$(listener "$1")
	[ -z "$who" ] || of_stack "${who##* }" || die "gdb port $1 is in use by $who" \
		"stop that process, give another port in the stack file, or none, and the lab chooses"
}

# of_stack PID: is that a domain of this stack? It goes before the one that gets its port is started.
of_stack() { grep -qsx "$1" "$root/run/libvirt/qemu/$stack"-*.pid; }

lowest_free() {
	local port=1234 who
	while :; do
		who=$(listener "$port")
		[ -e "$ports/$port" ] || [ -n "$who" ] || break
		port=$((port + 1))
	done
	printf '%s' "$port"
}

remove() {
	local mine
	lock ports
	mine=$(reserved)
	[ -z "$mine" ] || rm -f "$ports/$mine"
	rmdir --ignore-fail-on-non-empty "$ports" 2>/dev/null || :
}
