#!/usr/bin/env bash
# What a build is made of and comes to: noted in its folder's .tracelab-build-record/, a file a fact, and held to the lock of
# the stack. docs/reproducibility.md has all facts.
# Input: pin, where the lock has this build: what each fact must be, by name (spec/lock.ts). It is sourced by lib/build.sh.
# shellcheck disable=SC2154  # prefix, work and identity are lib/build.sh's
source lib/step.sh
declare -A pin
pin+=()

# Debian packages that decide what comes out of a build, which are first of all those that compile; scripts have others, or none.
tools=(gcc binutils)

# build_unlike_lock: says what of a finished build is not as it is pinned. What came out as its pinned result is that build,
# whatever it was made of.
build_unlike_lock() {
	local fact facts=("${!pin[@]}") there
	[ -z "${pin[result]:-}" ] || facts=(result)
	for fact in "${facts[@]}"; do
		there=$(recorded "$root$prefix" "$fact")
		[ "$there" = "${pin[$fact]}" ] || {
			printf '%s of %s is not what the lock pins' "$fact" "$prefix"
			return
		}
	done
}

# hold FACT VALUE: where the lock pins another value, the step ends.
hold() {
	local pinned=${pin[$1]:-$2} todo="go back to what the lock pins" all=''
	[ "$pinned" != "$2" ] || return 0
	[ "$1" != result ] || todo="nothing was installed; ./lab rebuild --check ${step%-build} -s $stack tells whether it comes out the same twice"
	# A compiler is other builds' as well.
	[ "$1" != tools ] || all="; or, for all builds at once: ./lab lock --update -s $stack"
	die "the lock pins $1 $(only_in "$pinned" "$2"), and here it is $(only_in "$2" "$pinned")" "$todo, or: $lock_update$all"
}

# pin_built: what is made now is made of the same as the build that is there.
pin_built() {
	local fact file
	for fact in version sha256 commit tree packages; do
		file=$root$prefix/.tracelab-build-record/$fact
		[ ! -e "$file" ] || pin[$fact]=$(<"$file")
	done
}

# What takes what there is now into the lock.
lock_update="./lab lock --update ${step%-build} -s $stack"

# only_in TEXT OTHER: the first five lines of TEXT that OTHER has not, in one.
only_in() {
	local lines
	mapfile -t lines < <(grep -vxFf <(printf '%s\n' "$2") <<<"$1" | head -n 6)
	[ ${#lines[@]} -lt 6 ] || lines[5]=…
	if [ ${#lines[@]} = 0 ]; then printf 'none of these'; else join ', ' "${lines[@]}"; fi
}

# record FACT VALUE: notes what the build is made of, or came to, and holds it to the lock.
record() {
	hold "$1" "$2"
	{ mkdir -p "$work/record" && printf '%s\n' "$2" >"$work/record/$1"; } ||
		die "cannot write $work/record/$1" "mend what the line above says (a full disk: df -h / /opt /var), then run up again"
}

# recorded FOLDER FACT: what a build noted of itself, if anything.
recorded() { cat "$1/.tracelab-build-record/$2" 2>/dev/null || :; }

# record_known: what is known before anything of the build is made.
record_known() {
	record build "$identity"
	[ ${#tools[@]} = 0 ] || record tools "$(tool_versions)"
}

# tools_since FOLDER: says which tools are others by now than those that a finished build was made with.
tools_since() {
	local was now
	was=$(recorded "$1" tools)
	[ -n "$was" ] || return 0
	now=$(tool_versions)
	[ "$was" = "$now" ] || printf 'was made with %s, and now with %s' "$(only_in "$was" "$now")" "$(only_in "$now" "$was")"
}

# tool_versions: name and version a line. Debian's package gcc is only a name for that of one version.
tool_versions() {
	local tool names=()
	for tool in "${tools[@]}"; do
		[ "$tool" != gcc ] || tool=$(readlink /usr/bin/gcc || printf gcc)
		names+=("${tool##*/}")
	done
	# shellcheck disable=SC2016  # dpkg-query's own variables
	{ dpkg-query -W -f '${Package} ${Version}\n' "${names[@]}" 2>/dev/null || :; } | sort
}
