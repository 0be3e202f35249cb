#!/usr/bin/env bash
# Content-addressed builds: /opt/tracelab/KIND/HASH, made whole or not at all, shared by stacks.
#
# A build is made in PREFIX.work and gets its name in one rename, so a kill at any instant leaves no half of it.
# A whole prefix holds `.tracelab-build`, a manifest (modification time, size, path) of the files that matter, and
# `.tracelab-build-record/`, a file for each fact of what it was made of and what it came to, as a lock pins them.
# The last owner's remove moves the prefix into $cache_dir/builds, from where the next apply takes it back.
# Inputs:
#   prefix  the whole path, /opt/tracelab/KIND/HASH
#   and those of lib/pins.sh
#
# A script that builds and does nothing else says in `thing` what that is, and has a function `build`, which fills the
# folder $1. One that does more has verbs of its own in place of these.
source lib/step.sh
source lib/pins.sh
: "${prefix:?}"

# shellcheck disable=SC2154  # each script's own
probe() { build_probe "$thing"; }

apply() { build_apply "$thing" build; }

remove() { build_remove "$thing"; }

rebuild() { build_again "$thing" build; }

# inputs: what the build would be made of now, whatever the lock says.
inputs() {
	local fact
	pin=()
	lock "build-${identity//\//-}"
	scratch+=("$work")
	rm -rf --one-file-system -- "$work"
	record_known
	record_source
	for fact in "$work/record"/*; do output "${fact##*/}" "$(<"$fact")"; done
}

# sources: has all that the build that is there was made from in the cache, and outputs its `files` there, one a line.
sources() {
	local files
	lock "build-${identity//\//-}"
	whole "$root$prefix" || die "$thing is not built ($prefix is absent)" "run up first"
	scratch+=("$work")
	rm -rf --one-file-system -- "$work"
	pin_built
	files=$(kept_sources)
	output files "${files//"$cache_dir/"/}"
}

# kept_sources: prints these, where it was made of more than is in its inputs.
kept_sources() { :; }

# record_source: what it would be made from, where that is not all in its inputs.
record_source() { :; }

# without_environment: what a caller has in it, such as CFLAGS, ARCH or INSTALL_MOD_STRIP, is in no hash: no command of a build sees
# it, but for where things are, how to reach others, and what `./lab rebuild --check` shows to make no difference.
without_environment() {
	local variable
	for variable in $(compgen -e); do
		case $variable in
		HOME | PATH | PWD | TMPDIR | LC_ALL | TRACELAB_ROOT | *_proxy | *_PROXY | SSL_* | CURL_* | GIT_* | SSH_*) ;;
		USER | LOGNAME | TZ | OMP_NUM_THREADS) ;;
		*) export -n "${variable?}" ;;
		esac
	done
}
without_environment

identity=${prefix#/opt/tracelab/}
owners_dir=$state_dir/builds/$identity
cached=$cache_dir/builds/$identity
# Everything that a build needs while it is made, and nothing that stays.
work=$root$prefix.work

# whole FOLDER: does it hold a finished build?
whole() { [ -e "$1/.tracelab-build" ]; }

# build_probe NAME: drift for a prefix that is absent, not held by this stack, not as it was built, or of another result than
# the last apply printed.
build_probe() {
	local what=$1 stale
	if ! whole "$root$prefix"; then
		drift "$what is not built ($prefix is absent)"
		hold_here
		return
	fi
	[ -e "$owners_dir/$stack" ] || drift "$what is built, not yet used by stack $stack"
	stale=$(build_stale)
	if [ -n "$stale" ]; then
		drift "$stale"
		hold_here
	else
		probe_result "$what"
	fi
}

# probe_result NAME: stacks share a build, so that another one may have made it again, and Pulumi has of this one what it was before.
probe_result() {
	local of='' printed='' known='' there is was
	{ read -r of && read -r printed; } 2>/dev/null <"$printed_file" || :
	# Of an older tracelab, or of another prefix before, nothing is known.
	[[ $printed == *"\"prefix\":\"$prefix\""* ]] || return 0
	if [ "$of" = "$(stamped)" ] && [[ $printed =~ \"result\":\"([0-9a-f]*)\" ]]; then known=${BASH_REMATCH[1]}; fi
	there=$(recorded "$root$prefix" result)
	is=${there:0:12} was=${known:0:12}
	[ "$there" = "$known" ] ||
		drift "$1 is another build than at the last up of stack $stack: its result is ${is:-not noted}, and was ${was:-not noted}"
}

# hold_here: holds what can be known of a build at once, for a probe that finds it is to be made.
hold_here() { :; }

# build_stale: says why a finished build is to be made again (lib/source.sh has one that knows working trees).
build_stale() { build_changed; }

# build_changed: names the first file that is absent or not as the manifest has it, or what is not as the lock has it.
# Sizes and modification times stand in for hashes: a probe must stay fast.
build_changed() {
	local first
	first=$(comm -13 <(build_listing "$root$prefix") "$root$prefix/.tracelab-build" | sed -n 1p)
	first=${first#* * }
	[ -n "$first" ] || first=$(absent "${landmarks[@]}")
	if [ -n "$first" ]; then printf '%s is not as it was built' "$prefix/$first"; else build_unlike_lock; fi
}

# Paths in the prefix, below source/ and build/, that each build of the script has: these stand in for all that is there.
landmarks=()

# absent PATH…: the first that the prefix has not.
absent() {
	local path
	for path; do
		[ -e "$root$prefix/$path" ] || {
			printf '%s' "$path"
			return
		}
	done
}

# build_listing FOLDER: a line for each file that a user of the build relies on. source/ and build/ are a
# kernel's trees of some 70,000 files: too many to look at in every probe, so there are landmarks.
build_listing() {
	(cd "$1" && find . \( -path ./source -o -path ./build -o -name __pycache__ \) -prune -o \
		-type f ! -name '.tracelab-build*' -printf '%Ts %s %P\n' | sort)
}

# build_apply NAME FUNCTION: sees to it that the prefix is there, from the cache if it is in it, else made by
# FUNCTION, which fills the folder $1.
build_apply() {
	local what=$1 build=$2 result
	lock "build-${identity//\//-}"
	scratch+=("$work")
	if whole "$cached" && { ! whole "$root$prefix" || { is_pinned "$cached" && ! is_pinned "$root$prefix"; }; }; then
		move_build "$cached" "$root$prefix"
		say "$what taken from the cache"
	fi
	if ! whole "$root$prefix"; then
		build_anew "$what" "$build"
	elif [ -n "$(build_stale)" ]; then
		say "$what: $(build_stale): building it again"
		build_anew "$what" "$build"
	else
		say "$what is up to date"
	fi
	mkdir -p "$owners_dir"
	: >"$owners_dir/$stack"
	output prefix "$prefix"
	# What an older tracelab built noted nothing.
	result=$(recorded "$root$prefix" result)
	[ -z "$result" ] || output result "$result"
}

# is_pinned FOLDER: is it a finished build that came to what the lock pins? After a pull, the one in the cache may be, and the one in
# use not.
is_pinned() { whole "$1" && [ -n "${pin[result]:-}" ] && [ "$(recorded "$1" result)" = "${pin[result]}" ]; }

# undo_begun: a build in another place, whose lab has no use for it any more; of one that ended, Pulumi knows.
undo_begun() {
	local begun
	begun=$(begun_with prefix 2>/dev/null || :)
	[ -n "$begun" ] && [ "$begun" != "$prefix" ] || return 0
	[ "$(begun_with generation)" != "$(stamped)" ] || return 0
	say "$step: undoing what was begun in $begun"
	bash "$undo_file" remove >/dev/null
}

# begun_with INPUT: what the step was given the last time that it began.
begun_with() { sed -n "/^$1='/{s/^$1='\(.*\)'\$/\1/p;q}" "$undo_file"; }

# build_anew NAME FUNCTION: what was there before stays until the new build is whole.
build_anew() {
	local begun=$SECONDS result
	rm -rf --one-file-system -- "$work"
	mkdir -p "$work/prefix" ||
		die "nothing can be built in ${prefix%/*}" "mend what the line above says (mount, df -h ${prefix%/*}), then run up again"
	record_known
	"$2" "$work/prefix"
	result=$(build_hash "$work/prefix")
	record result "$result"
	mv "$work/record" "$work/prefix/.tracelab-build-record"
	build_listing "$work/prefix" >"$work/manifest"
	mv "$work/manifest" "$work/prefix/.tracelab-build"
	remember bytes "$(du -s --block-size=1 "$work" | cut -f 1)"
	[ ! -e "$root$prefix" ] || mv -T "$root$prefix" "$work/old"
	mv -T "$work/prefix" "$root$prefix"
	say "$1 built in $((SECONDS - begun)) s"
	remember built $((SECONDS - begun))
}

# build_again NAME FUNCTION: makes a build that is there a second time, elsewhere, and compares the two byte by byte. It is of
# the same sources and packages, whatever is newest by now. Nothing of the first serves the second: no object, nothing of the
# compiler cache. Outputs `files`, how many there are, `differing`, their paths in the prefix, one a line, `tools`, which ones are
# others than those that it was made with, in a sentence, and `difference`, what diffoscope says of the first, forty lines of 200 bytes at
# most, where it is there to tell what the bytes mean; all of it is in the step's log.
build_again() {
	local what=$1 build=$2 stale files differing other_tools='' difference=
	lock "build-${identity//\//-}"
	whole "$root$prefix" || die "$what is not built ($prefix is absent)" "run up first"
	stale=$(build_stale)
	[ -z "$stale" ] || die "$stale" "run up first: it mends that"
	scratch+=("$work")
	rm -rf --one-file-system -- "$work"
	work=$work/again
	mkdir -p "$work/prefix"
	pin_built
	export CCACHE_DISABLE=1
	"$build" "$work/prefix"
	build_contents "$root$prefix" >"$work/first"
	build_contents "$work/prefix" >"$work/second"
	files=$(wc -l <"$work/first")
	differing=$(diff --text "$work/first" "$work/second" | sed -n 's/^[<>] .*\t\.\///p' | sort -u || :)
	if [ -z "$differing" ]; then
		say "$what: all of its $files files are the same when built again"
	else
		say "$what: $(wc -l <<<"$differing") of its $files files are not the same when built again"
		other_tools=$(tools_since "$root$prefix")
		[ -z "$other_tools" ] || say "$what $other_tools"
		difference=$(show_difference "$root$prefix/${differing%%$'\n'*}" "$work/prefix/${differing%%$'\n'*}")
	fi
	output files "$files"
	output differing "$differing"
	[ -z "$other_tools" ] || output tools "$other_tools"
	[ -z "$difference" ] || output difference "$difference"
}

# build_contents FOLDER: the manifest has times, which are nobody's content; Python's caches come and go.
build_contents() { contents "$1" -name __pycache__ -o -name '.tracelab-build*'; }

# contents FOLDER TEST…: a line for each fact, FACT TAB PATH: the hash of a file, `x` for one that is a program, `-> TARGET` for a
# link; but for what find's tests leave out. Two trees have the same lines only where they have the same content, as long as
# no control character is in a name or a link's target (scripts/build-unpack.sh sees to that). Names are bytes.
contents() {
	(
		export LC_ALL=C
		cd "$1"
		shift
		find . \( "$@" \) -prune -o -type f -print0 | sort -z | xargs -0 -r sha256sum | sed 's/^\(\\\?[0-9a-f]\{64\}\)  /\1\t/'
		find . \( "$@" \) -prune -o -type f -perm /100 -printf 'x\t%p\n' -o -type l -printf '-> %l\t%p\n' | sort
	)
}

# build_hash FOLDER: one hash over its contents, but for what was noted of a working tree's place and times.
build_hash() {
	contents "$1" -name __pycache__ -o -name '.tracelab-build*' -o -path ./source-version -type f | sha256sum | cut -c 1-64
}

# show_difference ONE OTHER
show_difference() {
	command -v diffoscope >/dev/null || return 0
	mkdir -p "${log_file%/*}"
	{ diffoscope --new-file --text - "$@" 2>&1 || :; } | tr -d '\0' | tee -a "$log_file" | sed -n '1,40s/^\(.\{0,200\}\).*/\1/p' |
		iconv -c -f UTF-8 -t UTF-8 || :
}

# move_build FROM TO: never two builds that look whole and aren't, even across file systems. The last rename gives the
# folder its time: for one in the cache, that at which the last lab let it go (./lab gc goes by it). Where there is no
# room for a copy, FROM stays the build that it is.
move_build() {
	local error
	mkdir -p "${2%/*}"
	rm -f -- "$2/.tracelab-build"
	rm -rf --one-file-system -- "$2"
	mv "$1/.tracelab-build" "$1/.tracelab-build-moved"
	if [ "$(device "$1")" = "$(device "${2%/*}")" ]; then
		mv -T "$1" "$2"
	else
		error=$(cp -aT "$1" "$2" 2>&1) || {
			rm -rf --one-file-system -- "$2"
			mv "$1/.tracelab-build-moved" "$1/.tracelab-build"
			die "$1 cannot be moved to $2: ${error%%$'\n'*}" "mend that (a full disk: df -h /opt /var), then do it again"
		}
	fi
	mv "$2/.tracelab-build-moved" "$2/.tracelab-build"
	rm -rf --one-file-system -- "$1"
}

device() { stat -c %d "$1"; }

# build_remove NAME: gives up this stack's hold, where no other of its steps has the same build.
build_remove() {
	lock "build-${identity//\//-}"
	if of_another_step; then
		say "$1 is kept: another step uses it"
	else
		build_release "$1"
	fi
}

# of_another_step: a hash has no names, so a step that was renamed is removed once its successor has the build.
of_another_step() { grep -qsxF --exclude="$step" "prefix='$prefix'" "${undo_file%/*}"/*; }

# build_release NAME: gives up this stack's hold; the last one moves the prefix into the cache. Hold the build's lock.
build_release() {
	rm -f "$owners_dir/$stack"
	[ ! -d "$owners_dir" ] || rmdir "$owners_dir" 2>/dev/null || {
		say "$1 is kept: another stack uses it"
		return 0
	}
	rm -rf --one-file-system -- "$work"
	! whole "$root$prefix" || move_build "$root$prefix" "$cached"
	rm -rf --one-file-system -- "$root$prefix"
	without_empty_folders
}

# without_empty_folders: of builds and their owners; /opt itself is Debian's.
without_empty_folders() {
	local folder
	for folder in "${owners_dir%/*}" "$state_dir/builds" "$root${prefix%/*}" "$root/opt/tracelab"; do
		[ ! -d "$folder" ] || rmdir --ignore-fail-on-non-empty "$folder" 2>/dev/null || :
	done
}

# objects_folder: where objects go while building: into the work folder, or, for a person's own working tree, to
# a folder that stays, so that the next build makes only what changed.
objects_folder() {
	local kept=$cache_dir/work/$identity
	if [ "${source[kind]:-}" != path ] || [[ $work == */again ]]; then
		printf '%s' "$work/objects"
		return
	fi
	# make and ninja go by times: objects of a time to come are newer than whatever is edited now.
	if [ -n "$(find "$kept" -newermt '2 seconds' -print -quit 2>/dev/null)" ]; then
		say "$step: the clock was set back since $kept was compiled: all of it is compiled again"
		rm -rf --one-file-system -- "$kept"
	fi
	printf '%s' "$kept"
}

# Debug information names the place where the sources will be. The compiler is given this name instead, of the
# same length, and named_here puts the prefix in its place: so what the compiler cache has serves every prefix.
# shellcheck disable=SC2034  # read by the scripts that source this library
nowhere=${prefix%/*}/$(tr '0-9a-f' 0 <<<"${prefix##*/}")

named_here() { LC_ALL=C sed -i "s|$nowhere|$prefix|g" "$@"; }

# use_ccache: a build that was stopped, or whose source got a few changes, carries on from what was compiled.
use_ccache() {
	mkdir -p "$cache_dir/ccache"
	# Depend mode takes the headers from the compiler's own list: 1.1 times the plain compiler's time for a cold
	# build, where the default, which runs the preprocessor first, takes 1.36 times.
	export CCACHE_DIR=$cache_dir/ccache CCACHE_DEPEND=1 CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$work
}

# remember WHAT NUMBER, recall WHAT: of this very build, or else of the last of its kind, which is a fair guess. WHAT is
# `built` (seconds for all of it, which a preview tells), `bytes` (on disk while it was made), or seconds or lines of the long
# command in it. Builds of one kind end at the same time.
remember() (
	lock durations
	for file in "$cache_dir/durations/$identity" "$cache_dir/durations/${identity%/*}/last"; do
		printf '%s\n' "$2" | write_file "$file.$1" 644
	done
)

recall() { cat "$cache_dir/durations/$identity.$1" 2>/dev/null || cat "$cache_dir/durations/${identity%/*}/last.$1" 2>/dev/null || :; }

# run_long WHAT COMMAND…: as run, for minutes: every 10 s says how far it is. COMMAND is no shell function.
run_long() {
	local what=$1 rc=0 log_start begun=$SECONDS pid ticks=0
	shift
	log_command "$@"
	# A build must not outlive its step: whether that is told to stop or killed outright.
	setpriv --pdeathsig TERM -- "$@" >>"$log_file" 2>&1 </dev/null &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; wait "$pid"; exit 143' TERM INT HUP
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		ticks=$((ticks + 1))
		[ $((ticks % 20)) != 0 ] || say_progress "$what" $((SECONDS - begun))
	done
	wait "$pid" || rc=$?
	trap 'exit 143' TERM INT HUP
	[ "$rc" = 0 ] || failed "$what" "$rc"
	remember seconds $((SECONDS - begun))
	remember lines "$(logged | wc -l)"
}

# say_progress WHAT ELAPSED: how much, by the last [done/total] that the command printed, or by how many lines
# it logged the last time; how long, by the last time's duration, or by this one's pace.
say_progress() {
	local what=$1 elapsed=$2 pair ready total from='' last
	pair=$(logged | tail -c 4000 | grep -oE '\[[0-9]+/[0-9]+\]' | tail -n 1 || :)
	last=$(recall seconds)
	if [ -n "$pair" ]; then
		IFS=/ read -r ready total <<<"${pair//[\[\]]/}"
		from=", $ready of $total"
	else
		ready=$(logged | wc -l)
		total=$(recall lines)
	fi
	if [ "${total:-0}" -le "$ready" ] || [ "$ready" = 0 ]; then
		say "$step: $what: $elapsed s so far"
		return
	fi
	# The first steps of a build are its shortest, so where there was a last time, that says more than this one's pace.
	if [ -n "$last" ]; then last=$((last * (total - ready) / total)); else last=$((elapsed * (total - ready) / ready)); fi
	say "$step: $what: $((ready * 100 / total)) %$from, $(left "$last")"
}
