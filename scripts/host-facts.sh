#!/usr/bin/env bash
# What this host is, as one JSON object on stdout (its shape: spec/host-facts.ts). Not a step: read-only,
# run at every preview before anything is changed, so it must be fast and need nothing installed.
# Input: gdb_ports, the ports to look at, or none.
# shellcheck disable=SC2034 # the library wants to know a step; nothing here is logged or stamped
stack=host step=facts generation=''
source lib/step.sh

# cpu_flags FILE: the first processor's flags.
cpu_flags() {
	local key value
	flags=''
	while IFS=: read -r key value; do
		[[ $key != flags* ]] || {
			flags="$value "
			return
		}
	done <"$1"
}

has_flag() { [[ $flags == *" $1 "* ]]; }

# virtualization: vmx (Intel), svm (AMD) or nothing. A /dev/kvm without either proves nothing: it opens, runs a
# small real-mode guest, and hangs an ordinary kernel after "Booting from ROM".
virtualization() {
	if has_flag vmx; then printf vmx; elif has_flag svm; then printf svm; fi
}

# os_field NAME: a field of os-release, whose values may stand in quotes.
os_field() {
	local key value
	while IFS='=' read -r key value; do
		if [ "$key" = "$1" ]; then
			value=${value#[\"\']}
			printf '%s' "${value%[\"\']}"
		fi
	done <"$root/etc/os-release"
}

# free FOLDER: bytes on its file system, or on that where it would be made.
free() {
	local folder=$root$1 blocks size
	until [ -e "$folder" ]; do folder=${folder%/*}; done
	read -r blocks size < <(stat -f -c '%a %S' "${folder:-/}")
	printf '%d' $((blocks * size))
}

# builds: what is whole, for a lab or in the cache; build_bytes: what builds took (lib/build.sh). No subshell for each.
builds() {
	local file found=()
	for file in "$root"/{opt/tracelab,var/cache/tracelab/builds}/{qemu,kernel,image}/*/.tracelab-build; do
		file=${file%/.tracelab-build}
		[ ! -e "$file/.tracelab-build" ] || found+=("\"${file#"${file%/*/*}/"}\"")
	done
	join , "${found[@]}"
}

build_bytes() {
	local file bytes found=()
	for file in "$root"/var/cache/tracelab/durations/{qemu,kernel,image}/*.bytes; do
		[ -e "$file" ] || continue
		read -r bytes <"$file"
		file=${file%.bytes}
		found+=("\"${file#"${file%/*/*}/"}\":$bytes")
	done
	json_object "${found[@]}"
}

# begun: the domains and trace sessions that stacks have, each by what reserves its name or its gdb port, as STACK/STEP.
begun() {
	local file found=()
	for file in "$state_dir"/undo/*/{domain-*-share,domain-*-gdb-port,trace-*-session}; do
		[ ! -e "$file" ] || found+=("\"${file#"${file%/*/*}/"}\"")
	done
	join , "${found[@]}"
}

# taken: the ports of gdb_ports that a domain has reserved, or that somebody listens on.
taken() {
	local port reserved given who qemu_of found=()
	for port in ${gdb_ports:-}; do
		reserved='' given='' who='' qemu_of=''
		{ read -r reserved given <"$state_dir/ports/$port"; } 2>/dev/null || :
		listener "$port"
		[ -n "$reserved$who" ] || continue
		found+=("\"$port\":$(json_object "\"reserved\":$(json_string "$reserved")" "\"given\":$(truth test -n "$given")" \
			"\"listener\":$(json_string "$who")" "\"qemuOf\":$(json_string "$qemu_of")")")
	done
	json_object "${found[@]}"
}

# listener PORT: who listens there, and of which domain that is the QEMU; as lib/listener.sh, but without ss.
listener() {
	local hex inode pid='' name=''
	printf -v hex '%04X' "$1"
	inode=$(awk -v "port=$hex" '$4 == "0A" && $2 ~ ":" port "$" {print $10; exit}' "$root"/proc/net/tcp{,6} 2>/dev/null || :)
	[ -n "$inode" ] || return 0
	# What is another account's, or runs in another container, cannot be looked into.
	who='an unknown process'
	pid=$(find "$root"/proc/[0-9]*/fd -lname "socket:\[$inode\]" -printf '%h' -quit 2>/dev/null || :)
	[ -n "$pid" ] || return 0
	pid=${pid%/fd} pid=${pid##*/}
	{ read -r name <"$root/proc/$pid/comm"; } 2>/dev/null || :
	who="$name, process $pid"
	qemu_of=$(grep -lsx "$pid" "$root"/run/libvirt/qemu/*.pid || :)
	qemu_of=${qemu_of##*/} qemu_of=${qemu_of%.pid}
}

truth() { if "$@"; then printf true; else printf false; fi; }

facts() {
	local apparmor='' flags
	cpu_flags "$root/proc/cpuinfo"
	read -r apparmor 2>/dev/null <"$root/sys/module/apparmor/parameters/enabled" || :
	json_object \
		"\"os\":{\"id\":$(json_string "$(os_field ID)"),\"version\":$(json_string "$(os_field VERSION_ID)")}" \
		"\"virtualization\":\"$(virtualization)\"" \
		"\"hypervisor\":$(truth has_flag hypervisor)" \
		"\"kvm\":$(truth test -e "$root/dev/kvm")" \
		"\"systemd\":$(truth test -d "$root/run/systemd/system")" \
		"\"apparmor\":$(truth test "$apparmor" = Y)" \
		"\"free\":{\"opt\":$(free /opt/tracelab),\"cache\":$(free /var/cache/tracelab)}" \
		"\"builds\":[$(builds)]" \
		"\"buildBytes\":$(build_bytes)" \
		"\"begun\":[$(begun)]" \
		"\"gdbPorts\":$(taken)"
}

facts
