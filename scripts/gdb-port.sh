#!/usr/bin/env bash
# Reserves the loopback TCP port of a domain's gdbstub, so that stacks never meet on one.
# Inputs:
#   domain  the domain's name in libvirt
#   port    a port number, or empty: the lowest free one from 1234 up, gdb's and QEMU's own habit
# Owns $state_dir/ports/PORT, which holds the domain's name, and `given` where the stack file gave it that port.
source lib/listener.sh
: "${domain:?}" "${port?}"

ports=$state_dir/ports

reserved() {
	local file name
	for file in "$ports"/*; do
		[ -e "$file" ] || continue
		read -r name _ <"$file" || :
		if [ "$name" = "$domain" ]; then
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
	# One that was given, and is not any more, may be given to another domain by now.
	if [ -n "$mine" ] && { [ "$port" = "$mine" ] || { [ -z "$port" ] && ! was_given "$mine"; }; }; then
		[ -z "$port" ] || write_reservation "$mine"
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
	if [ -n "$new" ]; then freed_or_die "$new"; else new=$(lowest_free); fi
	[ -z "$old" ] || rm -f "$ports/$old"
	write_reservation "$new"
}

write_reservation() { printf '%s\n' "$domain${port:+ given}" | write_file "$ports/$1" 644; }

# freed_or_die PORT: a domain of this stack that listens on it goes, or is started again on another one. It ends now: Pulumi deletes
# what left the stack when all else is up.
freed_or_die() {
	local owner who before
	read -r owner _ <<<"$(cat "$ports/$1" 2>/dev/null || :)"
	[ -z "$owner" ] || { of_stack "$owner" && was_given "$1"; } || die "gdb port $1 is reserved for the domain $owner" \
		"give another port in the stack file, or none, and the lab chooses"
	who=$(listener "$1")
	[ -n "$who" ] || return 0
	before=$(domain_of "${who##* }")
	[ -n "$before" ] || die "gdb port $1 is in use by $who" \
		"stop that process, give another port in the stack file, or none, and the lab chooses"
	[ "$before" != "$domain" ] || return 0
	# libvirtd may be down; it sees then what became of its domain.
	virsh --quiet --connect qemu:///system destroy "$before" >/dev/null 2>&1 || kill "${who##* }" 2>/dev/null || :
	for _ in {1..100}; do
		if [ "$(listener "$1")" != "$who" ]; then
			say "$step: stopped $before, whose gdb port $1 is $domain's now"
			return
		fi
		sleep 0.1
	done
	die "gdb port $1 is in use by $who, which does not end" "stop that process, then run up again"
}

# was_given PORT: did the stack file give it to whom it is reserved for? That gives each port once, so that it is that domain's no
# more. One that the lab chose stays where it is.
was_given() { grep -qsx '[^ ]* given' "$ports/$1"; }

of_stack() { [[ $1 == "$stack"-* ]] && [ -e "$state_dir/undo/$stack/domain-${1#"$stack"-}-gdb-port" ]; }

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
