#!/usr/bin/env bash
# Makes or removes a trace session that no stack file names, for `./lab trace run` and `start`.
#   trace-record.sh apply|remove
# For what ftrace has of the host's kernel: to run a script on it, or to print why it has nothing.
#   trace-record.sh tracefs SCRIPT ARGUMENT…
#   trace-record.sh untraced
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
	tracefs) in_tracefs "${@:2}" || die "somebody removed the instance $session of tracefs, which recorded the kernel of this host" ;;
	untraced)
		! kernel_by_ftrace || compare_kernel
		printf %s "$untraced"
		;;
	probe)
		probe
		join '; ' "${drifts[@]}" "${unknown[@]}"
		;;
	esac
}

main "$@"
