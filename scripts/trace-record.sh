#!/usr/bin/env bash
# Makes or removes a trace session that no stack file names, for `./lab trace run` and `start`.
#   trace-record.sh apply|remove
# And for `./lab verify`, which looks at one that a stack file names, probe: prints what differs.
# The inputs of trace-session.sh come by the environment; it is run in the folder that it is in.
source ./trace-session.sh

main() {
	rotate_log
	case $1 in
	apply)
		apply
		json_object "${outputs[@]}"
		;;
	remove) remove ;;
	probe)
		probe
		join '; ' "${drifts[@]}"
		;;
	esac
}

main "$@"
