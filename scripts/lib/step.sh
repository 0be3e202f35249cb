#!/usr/bin/env bash
# The protocol of a step: what every script in this folder can count on.
#
# A step script defines three functions: probe (read-only, fast), apply (idempotent, safe to kill at any
# instant) and remove (undoes what this lab did); one that builds has rebuild, too (lib/build.sh). It is never run from a
# file: components/step.ts sends the inputs as quoted assignments, then this library, then the script, over the standard
# input of `bash -s -- VERB`, so the same text works on this host and through ssh, and an input is never shell text.
#
# Inputs that every step gets:
#   stack       name of the stack that owns the step
#   step        name of the step, unique in its stack
#   generation  an opaque word; apply stamps it, probe reports it (see components/step.ts)
# and step_program, the text that is being run (components/step-program.ts).
# TRACELAB_ROOT, from the environment, puts every path below a scratch root; tests use it.
set -eEuo pipefail
shopt -s inherit_errexit
umask 022
export LC_ALL=C.UTF-8
# It goes before LC_ALL for all locales but C itself.
unset LANGUAGE
# Debian's su leaves them out.
PATH=$PATH:/usr/sbin:/sbin

: "${stack:?}" "${step:?}" "${generation?}"

root=${TRACELAB_ROOT:-}
state_dir=$root/var/lib/tracelab
# Read by the scripts that source this library.
# shellcheck disable=SC2034
cache_dir=$root/var/cache/tracelab
log_file=$root/var/log/tracelab/$stack/$step.log
stamp_file=$state_dir/steps/$stack/$step
# The generation of an apply, and what that printed, a line each. Where the generation is not the stamp's, the apply was killed behind it.
printed_file=$state_dir/printed/$stack/$step
# What undoes the step, from before it is begun until it is undone: `bash FILE remove`. Pulumi's state has no step whose
# first apply failed or was killed, so that ./lab destroy finds it here; its first line has the project that did it.
undo_file=$state_dir/undo/$stack/$step

drifts=()
notes=()
outputs=()
# Temp paths that go when the step ends, however it ends.
scratch=()

# say WORDS…: one line for the person who waits.
say() { printf '%s\n' "$*" >&2; }

# die WHAT TODO: ends the step with an error that says what failed and what to do about it.
die() {
	say "tracelab: $step: $1"
	[ -z "${2:-}" ] || say "  what to do: $2"
	end
}

# end: after an error was said. A subshell ends with a status by which the shells above know that.
said=120
end() { exit $((BASHPID == $$ ? 1 : said)); }

# drift SENTENCE: probe found the host other than wanted.
drift() { drifts+=("$1"); }

# note SENTENCE: probe could not look at something, which is no drift.
note() { notes+=("$1"); }

# output KEY VALUE: adds a string to the JSON object that the step prints.
output() { outputs+=("$(json_string "$1"):$(json_string "$2")"); }

json_string() {
	local s=$1 c i escaped
	s=${s//\\/\\\\} s=${s//\"/\\\"} s=${s//$'\n'/\\n} s=${s//$'\t'/\\t} s=${s//$'\r'/\\r}
	if [[ $s == *[[:cntrl:]]* ]]; then
		for ((i = 1; i < 32; i++)); do
			printf -v escaped '\\u%04x' "$i"
			printf -v c '%b' "${escaped/u00/x}"
			s=${s//"$c"/$escaped}
		done
	fi
	printf '"%s"' "$s"
}

json_object() {
	local IFS=,
	printf '{%s}\n' "$*"
}

join() {
	local separator=$1 first=${2:-}
	shift 2 || return 0
	printf '%s' "$first" "${@/#/$separator}"
}

# seconds_up: since this host started. Waits go by it, since bash's SECONDS goes by the clock that people and NTP set.
seconds_up() {
	local up
	read -r up _ </proc/uptime
	printf '%s' "${up%.*}"
}

# left SECONDS
left() { if [ "$1" -ge 60 ]; then printf '%d min %d s left' $(($1 / 60)) $(($1 % 60)); else printf '%d s left' "$1"; fi; }

# write_file PATH MODE: replaces PATH with standard input in one rename, so that nobody sees half of it. What a kill
# leaves behind is hidden from those who list the folder.
write_file() {
	local path=$1 mode=$2 part=${1%/*}/.${1##*/}.tracelab-part
	# Until something is in it, the last step of another stack may take the empty folder along.
	{ mkdir -p "${path%/*}" && : >"$part"; } 2>/dev/null || mkdir -p "${path%/*}"
	if ! { : >"$part" && chmod "$mode" "$part" && cat >"$part" && mv -fT "$part" "$path"; }; then
		rm -f "$part"
		die "cannot write $path" "mend what the line above says (a full disk: df -h / /opt /var), then run up again"
	fi
}

# lock NAME: waits for and holds the lock of one shared thing until the step ends.
lock() {
	local lock_fd file=$root/run/tracelab/locks/$1
	until try_lock "$1"; do
		say "$step: waiting for another step that holds the lock $1"
		flock --timeout 3600 "$lock_fd" || die "the lock $file was held for an hour" "see who holds it: fuser -v $file"
		[ ! "$file" -ef "/dev/fd/$lock_fd" ] || return 0
	done
}

# try_lock NAME: as lock, but fails where somebody else has it. A file that `./lab gc` has removed meanwhile locks nothing.
try_lock() {
	local file=$root/run/tracelab/locks/$1
	while :; do
		{ mkdir -p "${file%/*}" && exec {lock_fd}>>"$file"; } || die "cannot open the lock $file" "mend what the line above says"
		flock --nonblock "$lock_fd" || return
		[ ! "$file" -ef "/dev/fd/$lock_fd" ] || return 0
	done
}

# lab_command: ./lab as the person calls it for this stack, where ./lab itself would take another one.
lab_command() {
	printf ./lab
	[ "$stack" = "${TRACELAB_STACK:-quickstart}" ] || printf ' -s %s' "$stack"
}

# run WHAT COMMAND…: runs a command with its output in the step's log; its failure ends the step with the
# last lines of that output and the log's name.
run() {
	local what=$1 rc=0 log_start
	shift
	log_command "$@"
	"$@" >>"$log_file" 2>&1 </dev/null || rc=$?
	[ "$rc" = 0 ] || failed "$what" "$rc"
}

# log_command COMMAND…: notes a command in the step's log, and in log_start where its output begins there.
log_command() {
	mkdir -p "${log_file%/*}"
	printf '\n$ %s\n' "${*@Q}" >>"$log_file"
	log_start=$(wc -c <"$log_file")
}

# logged: the output of that command.
logged() { tail -c "+$((log_start + 1))" "$log_file"; }

# failed WHAT RC: the error for that command.
failed() {
	say "tracelab: $step: $1 failed (exit $2); the last lines of $log_file:"
	logged | tail -n 15 | sed 's/^/  | /' >&2
	if grep -qs 'No space left on device' <(logged); then
		say "  what to do: make room on the disk (df -h / /opt /var), then run up again: it carries on"
	elif grep -qsE 'Killed signal terminated program|out of memory allocating|virtual memory exhausted|Cannot allocate memory' \
		<(logged); then
		say "  what to do: there is too little memory for it (free -h): end other programs or add swap, then run up again"
	elif grep -qsE 'Hash Sum mismatch|signature verification|(is not|no longer) signed' <(logged); then
		say "  what to do: the mirror gave other bytes than Debian signed, and nothing of them is used: run up again later, or name another mirror in /etc/apt"
	elif grep -qs 'is not valid yet' <(logged); then
		say "  what to do: this host's clock is wrong, by which it is $(date -u '+%F %R') UTC: set it (timedatectl, or date --set), then run up again"
	else
		say "  what to do: mend what the log shows, then run up again: it carries on from what was built"
	fi
	end
}

# rotate_log: where the log is long, it moves aside before a run adds to it, in place of the one that did so before. So
# what a run writes stays in one file, whole, and a step has two of them at most.
log_limit=1000000
rotate_log() {
	[ ! -e "$log_file" ] || [ "$(wc -c <"$log_file")" -lt "$log_limit" ] || mv -f "$log_file" "$log_file.1"
}

need_root() { [ -n "$root" ] || [ "$EUID" = 0 ] || die "needs root" "run as root, or through sudo: sudo npm run up"; }

on_exit() {
	local rc=$?
	[ ${#scratch[@]} = 0 ] || rm -rf --one-file-system -- "${scratch[@]}"
	exit "$rc"
}

# on_error STATUS LINE COMMAND STATUSES: the error for a command of no run or die that ends the step under `set -e`;
# STATUSES are those of a pipeline's parts, of which COMMAND is the last. What fails in a subshell, fails in the step's own
# shell next, or is let pass there.
on_error() {
	[ "$BASHPID" = $$ ] || return 0
	[ "$1" != "$said" ] || exit 1
	say "tracelab: $step: $(line_of "$2"): \`${3%%$'\n'*}\` failed (exit ${4// / | })"
	say "  what to do: mend what the lines above say; where they say nothing, this is a fault of tracelab's: report it"
}

# line_of LINE: FILE:LINE; a step's program has marks of what it was put together from (components/step-program.ts).
line_of() {
	if [ -z "${program_line:-}" ]; then
		printf '%s:%s' "${BASH_SOURCE[2]:-$0}" "$1"
	else
		awk -v "line=$(($1 - program_line))" 'NR > line {exit} {at++} /^# [0-9]+ "scripts\/[^"]+"$/ {at = $2 - 1; file = $3}
			END {gsub(/"/, "", file); print file ":" at}' <<<"${step_program:?}"
	fi
}

trap on_exit EXIT
trap 'exit 143' TERM INT HUP
trap 'on_error "$?" "$LINENO" "$BASH_COMMAND" "${PIPESTATUS[*]}"' ERR

# of_this_project: ends where another project has this step of a stack of that name, which would be taken for drift, or undone.
of_this_project() {
	local other
	other=$(sed -n '1s/^# from //p' "$undo_file" 2>/dev/null || :)
	[ -z "$other" ] || [ "$other" = "$(pwd -P)" ] || [ ! -e "$other/Pulumi.yaml" ] ||
		die "the lab of stack $stack is up from another project: $other" \
			"work with it there; or have one beside it, by a stack file of another name that extends this one"
}

# undo_begun: what this step began with other inputs and never ended, where that would stay (lib/build.sh): what undoes it is
# about to be written over, or to go.
undo_begun() { :; }

# stamped: the generation of the last apply, if any.
stamped() {
	local word=''
	{ read -r word <"$stamp_file"; } 2>/dev/null || :
	printf '%s' "$word"
}

# replaced: is what goes by the step's name its successor's? That is applied before a replaced step is removed.
replaced() {
	local stamp
	stamp=$(stamped)
	[ -n "$stamp" ] && [ "$stamp" != "$generation" ]
}

step_main() {
	local printed
	case ${1:-} in
	probe)
		probe
		json_object "\"drift\":$(json_string "$(join '; ' "${drifts[@]}")")" "\"stamp\":$(json_string "$(stamped)")" \
			${notes[0]:+"\"note\":$(json_string "$(join '; ' "${notes[@]}")")"}
		;;
	apply)
		need_root
		rotate_log
		of_this_project
		undo_begun
		printf '# from %s\n%s\n' "$(pwd -P)" "${step_program:?}" | write_file "$undo_file" 600
		apply
		printed=$(json_object "${outputs[@]}")
		printf '%s\n' "$generation" "$printed" | write_file "$printed_file" 644
		printf '%s\n' "$generation" | write_file "$stamp_file" 644
		printf '%s\n' "$printed"
		;;
	remove)
		need_root
		rotate_log
		# What is on the host undoes its own project's step, wherever it is run.
		[ "$0" -ef "$undo_file" ] || of_this_project
		undo_begun
		remove
		replaced || rm -f "$stamp_file" "$printed_file" "$undo_file"
		rmdir -p --ignore-fail-on-non-empty "${stamp_file%/*}" "${printed_file%/*}" "${undo_file%/*}" 2>/dev/null || :
		;;
	rebuild | inputs | sources)
		need_root
		rotate_log
		"$1"
		json_object "${outputs[@]}"
		;;
	*) die "unknown verb ${1:-}" ;;
	esac
}
