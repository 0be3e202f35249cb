#!/usr/bin/env bash
# Content-addressed builds: /opt/tracelab/KIND/HASH, made whole or not at all, shared by stacks.
# A finished prefix holds `.tracelab-build`, a manifest (modification time, size, path) of the files that matter.
# The last owner's remove moves the prefix into $cache_dir/builds, from where the next apply takes it back.
# Input: prefix, the whole path, /opt/tracelab/KIND/HASH.
source lib/step.sh
: "${prefix:?}"

# build_complete: is the prefix there, whole?
build_complete() { [ -e "$root$prefix/.tracelab-build" ]; }

# build_probe NAME: drift for a prefix that is absent, not held by this stack, or not as it was built.
build_probe() {
	local name=$1 changed
	if ! build_complete; then
		drift "$name is not built ($prefix is absent)"
		return
	fi
	[ -e "$(owners_dir)/$stack" ] || drift "$name is built, not yet used by stack $stack"
	changed=$(build_changed)
	[ -z "$changed" ] || drift "$prefix/$changed is not as it was built"
}

# build_changed: prints the first file that is absent or not as the manifest has it, and nothing if all is
# well. Sizes and modification times stand in for hashes: a probe must stay fast.
build_changed() {
	local rest
	rest=$(comm -13 <(build_listing "$root$prefix") "$root$prefix/.tracelab-build" | head -n 1)
	printf '%s' "${rest#* * }"
}

# build_listing FOLDER: a line for each file that a user of the build relies on. source/ and build/ are a
# kernel's trees of some 70,000 files: too many to look at in every probe.
build_listing() {
	(cd "$1" && find . \( -path ./source -o -path ./build -o -name __pycache__ \) -prune -o \
		-type f ! -name '.tracelab-build*' -printf '%Ts %s %P\n' | sort)
}

# build_apply NAME FUNCTION: makes the prefix, from the cache if it is there, else by FUNCTION, which builds
# into the folder $1 (the final path's sibling; the final path itself is $root$prefix).
build_apply() {
	local name=$1 build=$2 cached part=$root$prefix.part start
	lock "build-${prefix//\//-}"
	cached=$cache_dir/builds/${prefix#/opt/tracelab/}
	if build_complete && [ -n "$(build_changed)" ]; then
		say "$name: $prefix/$(build_changed) is not as it was built: building it again"
		rm -rf --one-file-system "${root:?}$prefix"
	fi
	if build_complete; then
		say "$name is up to date"
	elif [ -e "$cached/.tracelab-build" ]; then
		mkdir -p "$root${prefix%/*}"
		mv -T "$cached" "$root$prefix"
		say "$name taken from the cache"
	else
		start=$SECONDS
		rm -rf --one-file-system "$part"
		mkdir -p "$part"
		"$build" "$part"
		build_manifest "$part"
		rm -rf --one-file-system "${root:?}$prefix"
		mv -T "$part" "$root$prefix"
		remember_duration $((SECONDS - start))
		say "$name built in $((SECONDS - start)) s"
	fi
	mkdir -p "$(owners_dir)"
	: >"$(owners_dir)/$stack"
	output prefix "$prefix"
}

build_manifest() {
	build_listing "$1" >"$1/.tracelab-build.part"
	mv "$1/.tracelab-build.part" "$1/.tracelab-build"
}

# build_remove NAME: gives up this stack's hold; the last one moves the prefix into the cache.
build_remove() {
	local owners cached
	lock "build-${prefix//\//-}"
	owners=$(owners_dir)
	rm -f "$owners/$stack"
	[ ! -d "$owners" ] || rmdir "$owners" 2>/dev/null || {
		say "$1 is kept: another stack uses it"
		return 0
	}
	rm -rf --one-file-system "$root$prefix.part"
	if build_complete; then
		cached=$cache_dir/builds/${prefix#/opt/tracelab/}
		mkdir -p "${cached%/*}"
		rm -rf --one-file-system "$cached"
		mv -T "$root$prefix" "$cached"
	fi
	rmdir -p --ignore-fail-on-non-empty "$root${prefix%/*}" 2>/dev/null || :
}

owners_dir() { printf '%s' "$state_dir/builds/${prefix#/opt/tracelab/}"; }

duration_file() { printf '%s' "$cache_dir/durations/${prefix#/opt/tracelab/}"; }

# A build's own last duration is exact; else the newest of its kind is a fair guess.
last_duration() {
	local file
	file=$(duration_file)
	[ -e "$file" ] || file=${file%/*}/last
	[ ! -r "$file" ] || cat "$file"
}

remember_duration() {
	local file
	file=$(duration_file)
	printf '%s\n' "$1" | write_file "$file" 644
	printf '%s\n' "$1" | write_file "${file%/*}/last" 644
}

# run_long WHAT COMMAND…: as run, for minutes: every 10 s says how far it is, by the last [done/total] that the
# command printed, or by the time the build took last, with the time left.
run_long() {
	local what=$1 rc=0 start begun=$SECONDS pid
	shift
	mkdir -p "${log_file%/*}"
	printf '\n$ %s\n' "${*@Q}" >>"$log_file"
	start=$(wc -c <"$log_file")
	"$@" >>"$log_file" 2>&1 </dev/null &
	pid=$!
	# The build must not outlive a step that is told to stop.
	trap 'kill "$pid" 2>/dev/null; exit 143' TERM INT HUP
	local ticks=0
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		ticks=$((ticks + 1))
		[ $((ticks % 10)) != 0 ] || say_progress "$what" $((SECONDS - begun)) "$start"
	done
	wait "$pid" || rc=$?
	trap 'exit 143' TERM INT HUP
	[ "$rc" = 0 ] || failed "$what" "$rc" "$start"
}

say_progress() {
	local what=$1 elapsed=$2 pair='' ready total last
	pair=$(tail -c "+$(($3 + 1))" "$log_file" | tail -c 4000 | grep -oE '\[[0-9]+/[0-9]+\]' | tail -n 1 || :)
	last=$(last_duration)
	if [ -n "$pair" ]; then
		IFS=/ read -r ready total <<<"${pair//[\[\]]/}"
		say "$step: $what: $((ready * 100 / total)) %, $ready of $total, $(left $((elapsed * (total - ready) / (ready > 0 ? ready : 1))))"
	elif [ -n "$last" ] && [ "$last" -gt "$elapsed" ]; then
		say "$step: $what: $((elapsed * 100 / last)) %, $(left $((last - elapsed))), by the last run's duration"
	else
		say "$step: $what: $elapsed s so far"
	fi
}

left() { if [ "$1" -ge 60 ]; then printf '%d min %d s left' $(($1 / 60)) $(($1 % 60)); else printf '%d s left' "$1"; fi; }
