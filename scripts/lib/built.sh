#!/usr/bin/env bash
# Files of builds (lib/build.sh), for the steps that use them.
source lib/step.sh

# as_built FILE: is it there, and as its build's manifest has it? What was changed in a build by hand is for that
# build's own step to say, and to mend before anyone uses it.
as_built() {
	local manifest=${1%/*}/.tracelab-build
	[ -e "$1" ] || return 1
	[ ! -e "$manifest" ] || grep -qxF "$(stat -c '%Y %s' "$1") ${1##*/}" "$manifest"
}
