#!/usr/bin/env bash
# Who has a port on this host.
# Input: domain, the domain's name in libvirt.
source lib/step.sh
: "${domain:?}"

# listener PORT: who listens there. The domain itself does not count: it may run while its reservation was lost.
listener() {
	local found own
	found=$(ss -Hltnp "sport = :$1") || die "ss cannot say who listens on port $1" "install iproute2"
	own=$(cat "$root/run/libvirt/qemu/$domain.pid" 2>/dev/null || :)
	[[ $found != *"pid=${own:-none},"* ]] || return 0
	if [[ $found =~ \"([^\"]*)\",pid=([0-9]+) ]]; then
		printf '%s, process %s' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	elif [ -n "$found" ]; then
		# One of another container has no name here.
		printf 'an unknown process'
	fi
}

# domain_of PID: the domain of this stack whose QEMU that is, if it is one's. Another stack's name may begin as this one's does,
# so that only the steps of this one tell.
domain_of() {
	local file name
	for file in "$state_dir/undo/$stack"/domain-*-gdb-port; do
		name=${file##*/domain-} name=$stack-${name%-gdb-port}
		if grep -qsx "$1" "$root/run/libvirt/qemu/$name.pid"; then
			printf '%s' "$name"
			return
		fi
	done
}
