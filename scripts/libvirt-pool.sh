#!/usr/bin/env bash
# A defined pool of libvirt's, active over its folder, as @pulumi/libvirt made it: what was stopped, undefined or deleted
# by hand comes back under the same UUID, and @pulumi/libvirt never notices.
# Inputs:
#   pool    its name in libvirt
#   uuid    its UUID: another one is another pool
#   folder  the folder on this host that it is of, /var/lib/tracelab/pools/STACK
# Owns nothing: the pool and the folder are @pulumi/libvirt's. What is in the folder is its steps' (guest.sh).
source lib/step.sh
: "${pool:?}" "${uuid:?}" "${folder:?}"

virsh_() { virsh --quiet --connect qemu:///system "$@"; }

probe() {
	local seen
	# One virsh for all: each is 30 ms.
	seen=$(virsh_ "uri; pool-info $pool; pool-dumpxml $pool" 2>/dev/null || :)
	# A libvirtd that is down is the libvirt step's to say, and up again before an up comes here.
	[ -n "$seen" ] || return 0
	probe_definition "$seen"
	[ -d "$root$folder" ] || drift "the folder $folder of pool $pool is gone"
}

# probe_definition SEEN
probe_definition() {
	local state
	state=$(field State "$1")
	if [ -z "$state" ]; then
		drift "pool $pool is not defined"
	elif ! is_ours "$1"; then
		drift "pool $pool is another one than this lab made"
	elif [ "$state" != running ]; then
		drift "pool $pool is $state"
	fi
}

# field NAME SEEN: a line of pool-info.
field() { sed -nE "s/^$1: +//p" <<<"$2"; }

is_ours() { [ "$(field UUID "$1")" = "$uuid" ] && [[ $1 == *"<path>$folder</path>"* ]]; }

look() { virsh_ "pool-info $pool; pool-dumpxml $pool" 2>/dev/null || :; }

apply() {
	local changed=''
	restore_folder
	restore_definition
	restore_activity
	[ -n "$changed" ] || say "$step: pool $pool is up to date"
}

# As libvirt makes it when it builds a pool, which it refuses for one that is active.
restore_folder() {
	[ ! -d "$root$folder" ] || return 0
	mkdir -p "$root${folder%/*}"
	mkdir -m 711 "$root$folder"
	say "$step: made the folder $folder again: what was in it is lost"
	changed=1
}

restore_definition() {
	local seen
	seen=$(look)
	if is_ours "$seen"; then return; fi
	if [ -n "$seen" ]; then
		# Its disks stay: these forget a pool, and delete nothing of it.
		virsh_ pool-destroy "$pool" >/dev/null 2>&1 || :
		run "forgetting the pool $pool that is not this lab's" virsh_ pool-undefine "$pool"
	fi
	define
	say "$step: defined pool $pool as it was"
	changed=1
}

define() {
	local definition=$root/run/tracelab/$pool.xml
	scratch+=("$definition")
	write_file "$definition" 600 <<-END
		<pool type='dir'>
		  <name>$pool</name>
		  <uuid>$uuid</uuid>
		  <target>
		    <path>$folder</path>
		  </target>
		</pool>
	END
	run "defining pool $pool" virsh_ pool-define "$definition"
	run "having pool $pool start with libvirtd" virsh_ pool-autostart "$pool"
}

restore_activity() {
	if [ "$(field State "$(look)")" != running ]; then
		run "starting pool $pool" virsh_ pool-start "$pool"
		say "$step: started pool $pool"
		changed=1
	elif [ -n "$changed" ]; then
		run "having libvirt look at $folder again" virsh_ pool-refresh "$pool"
	fi
}

# @pulumi/libvirt deletes the disks before this, and the pool with its folder after it. It finds no disk of a pool that
# is undefined or inactive, and no pool that is undefined; and a folder that is gone, or has disks in it, it cannot remove.
remove() {
	restore_definition
	restore_folder
	rm -f "$root$folder/$stack"-*.qcow2
}
