#!/usr/bin/env bash
# Compiles a SystemTap script that no stack file names, for `./lab probe run FILE.stp`: NAME.ko and points in FOLDER.
#   systemtap-compile.sh NAME FOLDER
# The inputs of lib/systemtap.sh come by the environment, but for `text`; it is run in the folder that it is in.
text=$(<"${script:?}")
source lib/systemtap.sh

work=$(mktemp -d /tmp/tracelab-probe-XXXXXX)
scratch+=("$work")
rotate_log
compile_probe "$1" "$2" "$work"
