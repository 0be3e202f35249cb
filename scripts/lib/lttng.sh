#!/usr/bin/env bash
# What LTTng's command line says of a session, and how one is made; for trace-session.sh.
# Inputs: session, mode, size and count, as trace-session.sh has them.
# shellcheck disable=SC2034  # read by the script that sources this
source lib/step.sh
: "${session:?}" "${mode:?}" "${size:?}" "${count:?}"

# Whoever makes a session makes it the account's current one, by a file in this folder, which is a person's own otherwise.
lttng_() { LTTNG_HOME=$root/run/tracelab lttng --no-sessiond "$@"; }

# Memory of the guest: what its disk is given would be in the very traces.
guest_folder=/dev/shm/tracelab/$session

buffers=(--subbuf-size="$size" --num-subbuf="$count")
create=(--output=)
if [ "$mode" = snapshot ]; then
	buffers+=(--overwrite)
	create=(--snapshot)
fi

# In the guest: session. 1: there is none, whatever part of an answer LTTng printed; 3: its kernel has no lttng-modules.
# shellcheck disable=SC2016  # expanded in the guest
guests_session='lttng --no-sessiond --mi xml list "$1" 2>/dev/null || { modinfo lttng-tracer >/dev/null 2>&1 || exit 3; exit 1; }'

# In the guest: session mode folder size count events.
# shellcheck disable=SC2016  # expanded in the guest
guests_part='fail() { echo "$1"; exit 1; }
# One that somebody started by hand is not known to systemd, which would start a second one in vain, again and again.
lttng --no-sessiond list >/dev/null 2>&1 || said=$(systemctl start lttng-sessiond 2>&1) || fail "${said%%See*}"
lttng --no-sessiond destroy "$1" >/dev/null 2>&1
rm -rf "$3"
export LTTNG_HOME=/dev/shm/tracelab
mkdir -p "$LTTNG_HOME"
if [ "$2" = snapshot ]; then set -- "$@" --snapshot --overwrite; else set -- "$@" "--output=$3" --discard; fi
tries=0
until said=$(lttng --no-sessiond create "$1" "$7" 2>&1); do
	case $said in *"session daemon"*) ;; *) fail "$said" ;; esac
	tries=$((tries + 1))
	[ "$tries" -lt 60 ] || fail "$said"
	sleep 0.5
done
channel() { lttng --no-sessiond enable-channel --session="$1" --kernel --output=mmap --subbuf-size="$4" --num-subbuf="$5" "$8" main 2>&1; }
said=$(channel "$@") || fail "$said"
said=$(lttng --no-sessiond enable-event --session="$1" --kernel --channel=main --tracepoint "$6" 2>&1) || fail "$said"
said=$(lttng --no-sessiond add-context --session="$1" --kernel --channel=main --type=tid --type=procname 2>&1) || fail "$said"
said=$(lttng --no-sessiond start "$1" 2>&1) || fail "$said"'

session_is() { [[ $2 == *"<snapshot_mode>$([ "$1" = snapshot ] && echo 1 || echo 0)<"* ]]; }

session_runs() { [[ $1 =~ \<enabled\>true\</enabled\>\<snapshot_mode\> ]]; }

# buffers_are SIZE COUNT XML: those of all its channels.
buffers_are() {
	local others
	others=$(grep -oE '<subbuffer_(size|count)>[0-9]+' <<<"$3" | grep -vxE "<subbuffer_size>$1|<subbuffer_count>$2" || :)
	[ -z "$others" ]
}

session_pids() { grep -o '<vpid><type><id>[0-9]*' <<<"$1" | grep -o '[0-9]*$' | sort; }

# session_events XML: those that are enabled.
session_events() {
	{ grep -o '<event><name>[^<]*</name><type>[A-Z_]*</type><enabled>true' <<<"$1" || :; } | sed 's/<event><name>//; s/<.*//' | sort -u
}
