#!/usr/bin/env bash
# What this host is, as one JSON object on stdout (its shape: spec/host-facts.ts). Not a step: read-only, no
# inputs, run at every preview before anything is changed, so it must be fast and need nothing installed.
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

# begun: the domains and trace sessions that stacks have, each by the first step of it, or the only one, as STACK/STEP.
begun() {
	local file found=()
	for file in "$root"/var/lib/tracelab/undo/*/{domain-*-share,trace-*-session}; do
		[ ! -e "$file" ] || found+=("\"${file#"${file%/*/*}/"}\"")
	done
	join , "${found[@]}"
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
		"\"begun\":[$(begun)]"
}

facts
