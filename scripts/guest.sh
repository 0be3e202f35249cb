#!/usr/bin/env bash
# A defined domain, running as asked: started (or paused at boot, for gdb), its guest answering, on the right
# QEMU, under its process name, with its gdbstub listening, on the kernel that gdb has the symbols of.
# Inputs:
#   domain         the domain's name in libvirt
#   uuid           its UUID: another one is another definition
#   folder         the folder of the domain on this host
#   emulator       what /proc/PID/exe must be
#   kernel_prefix  the kernel's build
#   process_name   what pgrep -x must find
#   gdb_port       TCP port of the gdbstub on 127.0.0.1
#   paused         1: stay stopped before the first instruction until gdb says continue
#   overlay, base  the disk, and the image below it
# Owns $folder/UUID.xml, the definition as @pulumi/libvirt made it: what was edited or undefined by hand comes
# back from there, under the same UUID, and @pulumi/libvirt never notices. And $folder/image-of-DISK, what its disk lies over:
# the disk outlives this step, which goes and comes with the definition, so that goes with the share (guest-share.sh).
source lib/guest-agent.sh
source lib/listener.sh
: "${uuid:?}" "${folder:?}" "${emulator:?}" "${kernel_prefix:?}" "${process_name:?}" "${gdb_port:?}" "${paused:?}"
: "${overlay:?}" "${base:?}"

definition=$root$folder/$uuid.xml
disk=$root$overlay
laid_over=$root$folder/image-of-${overlay##*/}
# An older tracelab's.
[ -e "$laid_over" ] || [ ! -e "$root$folder/image" ] || laid_over=$root$folder/image

# Seconds until a started guest has answered. An emulated one takes some 8 s; on a host whose disk and processors were
# busy with other builds, one took 200.
guest_wait=480

# Seconds at least, however long ago it was started: it may be booting again.
again_wait=120

boot_time=$cache_dir/durations/boot/$domain

# Once this step has started the domain: when that was, and how much the console's log held before.
started='' said_before=0

probe() {
	local seen now
	# One virsh for all: each is 30 ms.
	seen=$(virsh_ "uri; domstate $domain; dumpxml --inactive $domain" 2>/dev/null || :)
	# A libvirtd that is down is the libvirt step's to say, and up again before an up comes here.
	[ -n "$seen" ] || return 0
	{ read -r _ && read -r now || now=''; } <<<"$seen"
	probe_definition "$(tail -n +3 <<<"$seen")"
	case $now in
	running | paused) probe_process "$now" ;;
	'') ;;
	*) drift "$(off)" ;;
	esac
}

# probe_definition NOW: the definition that libvirt has, if any.
probe_definition() {
	if [ ! -e "$disk" ]; then
		drift "the disk $overlay of $domain is gone"
	elif image_made_again; then
		drift "the image was made again since the disk of $domain was laid over it"
	fi
	if [ -z "$1" ]; then
		drift "domain $domain is not defined"
	elif [ ! -e "$definition" ]; then
		drift "domain $domain was not started by this lab yet"
	elif [ "$1" != "$(<"$definition")" ]; then
		drift "the definition of domain $domain was edited"
	fi
}

definition_now() { virsh_ dumpxml --inactive "$domain" 2>/dev/null || :; }

# probe_process STATE
probe_process() {
	local pid exe name listeners
	pid=$(domain_pid)
	exe=$(readlink "$root/proc/$pid/exe" 2>/dev/null || :)
	[ "$exe" = "$emulator" ] || drift "domain $domain runs on ${exe:-an unknown program}, not on $emulator"
	name=$(cat "$root/proc/$pid/comm" 2>/dev/null || :)
	[ "$name" = "$process_name" ] || drift "the process of $domain is named ${name:-nothing known}, not $process_name"
	# Only looked at: whoever connects to a gdbstub stops the guest.
	listeners=$(ss -Hltnp "src 127.0.0.1:$gdb_port" || :)
	[[ $listeners == *"pid=$pid,"* ]] || drift "no gdbstub of $domain listens on 127.0.0.1:$gdb_port"
	probe_guest "$1"
}

domain_pid() { cat "$root/run/libvirt/qemu/$domain.pid" 2>/dev/null || :; }

# probe_guest STATE: its debugger may stop the guest at any moment after it: that is no drift.
probe_guest() {
	local expected actual line
	if [ "$1" = paused ]; then
		left_alone || drift "domain $domain is paused"
		return
	fi
	if ! actual=$(guest_build_id); then
		if left_alone; then
			:
		elif line=$(panicked); then
			drift "the kernel of $domain panicked: $line"
		else
			drift "the guest agent of $domain does not answer"
		fi
		return
	fi
	expected=$(kernel_build_id)
	if [ -z "$expected" ]; then
		drift "the kernel $kernel_prefix is not built"
	elif [ "$actual" != "$expected" ]; then
		left_alone || drift "$domain runs a kernel with build-id ${actual:-unknown}, gdb's vmlinux has $expected"
	fi
}

# held: is the guest stopped by its debugger, so that it cannot answer?
held() { [ "$(domain_state)" = paused ] && { [ "$paused" = 1 ] || debugged; }; }

# left_alone: is it held? A debugger that the stack does not have it wait for is told of.
left_alone() {
	held || return
	[ "$paused" = 1 ] || note "the guest of $domain is stopped by its debugger: it was not looked at"
}

debugged() { [ -n "$(ss -Htn state established "src 127.0.0.1:$gdb_port")" ]; }

kernel_build_id() { cat "$root$kernel_prefix/build-id" 2>/dev/null || :; }

# The GNU build-id note is the one of type 3: its 20 bytes follow the name "GNU". A kernel without one is another.
guest_build_id() {
	local notes
	notes=$(guest_hex /sys/kernel/notes) || [ $? = 1 ] || return
	[[ ! $notes =~ 040000001400000003000000474e5500([0-9a-f]{40}) ]] || printf '%s' "${BASH_REMATCH[1]}"
}

apply() {
	changed=''
	[ -n "$(kernel_build_id)" ] || die "the kernel $kernel_prefix is not built" "run up again: it builds it"
	keep_definition
	restore_disk
	restore_definition
	case $(domain_state) in
	running) ;;
	paused) held || go_on ;;
	*) start ;;
	esac
	look
	# One that was started just now and does not come up is left as it stands, for gdb.
	if [ ${#drifts[@]} != 0 ] && { [ -z "$silent" ] || [ -z "$started" ]; }; then
		say "$step: $(join '; ' "${drifts[@]}"): starting it again"
		virsh_ destroy "$domain" >/dev/null 2>&1 || :
		start
		look
	fi
	[ ${#drifts[@]} = 0 ] || die "$(join '; ' "${drifts[@]}")" "${todo:-$see_console$(doubt)}"
	# How long its guest takes to boot, for the next preview to tell.
	if [ -n "$started" ] && ! held; then
		printf '%s\n' $(($(seconds_up) - started)) | write_file "$boot_time" 644
	fi
	if [ ${#notes[@]} != 0 ]; then
		say "$step: ${notes[*]}"
	elif [ -z "$changed" ]; then
		say "$step: domain $domain is up to date"
	fi
}

# The first definition that is seen is @pulumi/libvirt's.
keep_definition() {
	local now
	[ ! -e "$definition" ] || return 0
	now=$(definition_now)
	[ -n "$now" ] || die "domain $domain is not defined, and its definition was not kept" \
		"have Pulumi make it again: pulumi refresh, then run up again"
	printf '%s\n' "$now" | write_file "$definition" 600
}

# image_made_again: since the disk was laid over it. A disk holds what differs from its image, so over another one it is a broken
# file system.
image_made_again() {
	local before now
	read -r before _ <<<"$(cat "$laid_over" 2>/dev/null || :)"
	read -r now _ <<<"$(image_now)"
	[ -n "$now" ] && [ -n "$before" ] && [ "$before" != "$now" ]
}

# image_is_same: came the one that was made again to the same bytes? What an older tracelab built has noted none to compare.
image_is_same() {
	local before now
	read -r _ before <<<"$(cat "$laid_over")"
	read -r _ now <<<"$(image_now)"
	[ -n "$before" ] && [ "$before" = "$now" ] && running_on_same
}

# running_on_same: a QEMU that runs has the image of before still. Where that is not these bytes, it was written to meanwhile, and
# so may the disk be with what was read of it.
running_on_same() {
	local file
	for file in "$root/proc/$(domain_pid)/fd"/*; do
		case $(readlink "$file" || :) in
		*/image.qcow2 | */image.qcow2' (deleted)') cmp -s "$file" "$root$base" || return 1 ;;
		esac
	done
}

# image_now: a hash of the image's manifest, which is another one each time that it is made, and what it came to (lib/build.sh).
image_now() {
	local built=$root${base%/*} manifest
	manifest=$(sha256sum 2>/dev/null <"$built/.tracelab-build" | cut -c 1-16) || return 0
	printf '%s %s\n' "$manifest" "$(cat "$built/.tracelab-build-record/result" 2>/dev/null || :)"
}

restore_disk() {
	local now
	if [ ! -e "$disk" ]; then
		remake_disk
	elif image_made_again; then
		if image_is_same; then keep_disk; else remake_disk; fi
	fi
	now=$(image_now)
	[ -z "$now" ] || [ "$(cat "$laid_over" 2>/dev/null || :)" = "$now" ] || printf '%s\n' "$now" | write_file "$laid_over" 644
	[[ $laid_over != */image ]] || [ ! -e "$laid_over" ] || mv -T "$laid_over" "$laid_over-of-${overlay##*/}"
}

keep_disk() {
	say "$step: the image was made again, and is the same in each byte: the disk of $domain stays"
	changed=1
}

remake_disk() {
	say "$step: making the disk of $domain again: what the guest had written is lost with the old one"
	virsh_ destroy "$domain" >/dev/null 2>&1 || :
	mkdir -p "${disk%/*}"
	scratch+=("$disk.tracelab-part")
	run "making the disk" qemu-img create -q -f qcow2 -F qcow2 -b "$root$base" "$disk.tracelab-part"
	mv -f "$disk.tracelab-part" "$disk"
	# Where the pool's folder was made anew as well, libvirt knows of no disk in it.
	virsh_ pool-refresh "tracelab-$stack" >/dev/null 2>&1 || :
	rm -f "$laid_over"
	changed=1
}

restore_definition() {
	[ "$(definition_now)" != "$(<"$definition")" ] || return 0
	run "defining $domain" virsh_ define "$definition"
	say "$step: defined $domain as it was"
	changed=1
}

# Neither its stack nor a debugger wants it paused, so somebody paused it by hand, or left it so.
go_on() {
	run "resuming $domain" virsh_ resume "$domain"
	say "$step: $domain was paused and goes on"
	changed=1
}

start() {
	local options=() who
	[ "$paused" = 0 ] || options=(--paused)
	who=$(listener "$gdb_port")
	[ -z "$who" ] || die "$domain cannot start: its gdb port $gdb_port is in use by $who" \
		"stop that process and run up again, or give another port in the stack file"
	said_before=$(stat -c %s "$console_log" 2>/dev/null || printf 0)
	run "starting $domain" virsh_ start "$domain" "${options[@]}"
	say "$step: started $domain"
	changed=1 started=$(seconds_up)
}

# look: has what is still not as wanted in drifts.
look() {
	drifts=() notes=() silent='' todo=''
	if answering; then probe_process "$(domain_state)"; else silent=1; fi
}

# doubt: that KVM works was decided by the host's facts; the first proof is a guest that boots.
doubt() {
	[ -z "$silent" ] || ! grep -q "^<domain type='kvm'" "$definition" ||
		printf '; it runs on KVM, which may be what does not work here: acceleration: tcg in the stack file does without'
}

# answering: waits for the agent.
answering() {
	local begun now said wait line
	begun=$(seconds_up) said=$begun wait=$(patience)
	while ! held && ! guest_answers 2; do
		now=$(seconds_up)
		if [ $((now - said)) -ge 15 ]; then
			said=$now
			say "$step: waiting for the guest of $domain to answer: $(boot_progress $((now - begun)))"
		fi
		if [ $((now - begun)) -gt "$wait" ]; then
			drift "the guest agent of $domain did not answer within $wait s"
			return 1
		fi
		case $(domain_state) in
		running | paused) ;;
		*)
			drift "$(off)"
			todo="see the last words of its QEMU: sudo tail /var/log/libvirt/qemu/$domain.log; of its guest: ${see_console##*: }"
			return 1
			;;
		esac
		if line=$(panicked); then
			drift "the kernel of $domain panicked: $line"
			todo="$see_console; to debug the boot, give $vm gdb: { paused: true } in the stack file, run up, then: $(lab_command) gdb $vm"
			return 1
		fi
		sleep 0.2
	done
}

# off: says that the domain does not run; of one whose QEMU crashed, that.
off() {
	case $(virsh_ domstate --reason "$domain" 2>/dev/null || :) in
	*'(crashed)'*) printf 'domain %s crashed' "$domain" ;;
	*) printf 'domain %s is %s' "$domain" "$(domain_state)" ;;
	esac
}

# panicked: the kernel's line that says so, if that is among what the console said since the boot; fails where not.
panicked() {
	local size
	# What is older than a process that was found running is of a boot before.
	[ -n "$started" ] || [ "$console_log" -nt "$root/run/libvirt/qemu/$domain.pid" ] || return
	size=$(stat -c %s "$console_log" 2>/dev/null) || return
	# virtlogd may have begun another file since.
	[ "$said_before" -le "$size" ] || said_before=0
	# A guest that was reset is the same process. Where `quiet` hides how a boot begins, the login at its end tells of it.
	# One that resets by itself (panic=) does not come to the line at the end.
	tail -c "+$((said_before + 1))" "$console_log" | LC_ALL=C awk '/Linux version |login: / {line = ended = ""}
		/Kernel panic - not syncing/ && line == "" {line = $0}
		/---\[ end Kernel panic/ {ended = 1}
		END {if (line == "" || !ended) exit 1; gsub(/[^ -~]/, "", line); print substr(line, 1, 300)}'
}

# patience: the seconds that the guest has to answer, by when its process was started.
patience() {
	local now since wait
	printf -v now '%(%s)T' -1
	since=$(stat -c %Y "$root/run/libvirt/qemu/$domain.pid" 2>/dev/null || printf '%s' "$now")
	# The clock may have been set back.
	[ "$since" -le "$now" ] || since=$now
	wait=$((guest_wait - (now - since)))
	[ "$wait" -ge "$again_wait" ] || wait=$again_wait
	printf '%s' "$wait"
}

# boot_progress ELAPSED: by how long it took the last time, of a guest that was just started.
boot_progress() {
	local usual
	usual=$(cat "$boot_time" 2>/dev/null || :)
	if [ -n "$started" ] && [ "${usual:-0}" -gt "$1" ]; then
		printf '%d %%, %s' $(($1 * 100 / usual)) "$(left $((usual - $1)))"
	else
		printf '%s s so far' "$1"
	fi
}

# Whatever was undefined by hand is defined again, so that @pulumi/libvirt finds what it is about to delete.
remove() {
	if [ -e "$definition" ] && ! virsh_ dominfo "$domain" >/dev/null 2>&1; then
		virsh_ define "$definition" >/dev/null 2>&1 || :
	fi
	rm -f "$definition"
	rmdir -p --ignore-fail-on-non-empty "$root$folder" 2>/dev/null || :
}
