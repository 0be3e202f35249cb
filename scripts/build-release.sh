#!/usr/bin/env bash
# Gives up a stack's hold of a build, for a step that Pulumi does not know of. It is run in the folder that it is in, with by the
# environment:
#   prefix  /opt/tracelab/KIND/HASH
#   stack   whose hold it is
source lib/build.sh

need_root
lock "build-${identity//\//-}"
build_release "$prefix"
