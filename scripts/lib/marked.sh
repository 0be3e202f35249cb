#!/usr/bin/env bash
# Lines of ours in files that we don't own, between `# tracelab BEGIN` and `# tracelab END`, at the top of the
# file: taking them out again gives back the rest byte for byte, whatever its last line ends with.
source lib/step.sh

# marked_text FILE [NAME]: prints our lines.
marked_text() {
	[ ! -e "$1" ] || sed -n "/^# tracelab BEGIN${2:+ $2}\$/,/^# tracelab END${2:+ $2}\$/{//!p}" "$1"
}

# marked_without FILE [NAME]: prints the file without our lines.
marked_without() {
	[ ! -e "$1" ] || sed "/^# tracelab BEGIN${2:+ $2}\$/,/^# tracelab END${2:+ $2}\$/d" "$1"
}

# marked_set FILE TEXT [NAME]: makes TEXT our lines; an empty TEXT takes them out. Keeps the file's owner and mode.
marked_set() {
	local file=$1 text=$2 name=${3:-} part=$1.tracelab-part
	[ -e "$file" ] || [ -n "$text" ] || return 0
	mkdir -p "${file%/*}"
	if [ -e "$file" ]; then cp -a "$file" "$part"; else : >"$part"; fi
	{
		[ -z "$text" ] || printf '%s\n' "# tracelab BEGIN${name:+ $name}" "$text" "# tracelab END${name:+ $name}"
		marked_without "$file" "$name"
	} >"$part"
	mv -f "$part" "$file"
}
