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

# marked_set FILE TEXT [NAME]: makes TEXT our lines; an empty TEXT takes them out. Keeps the file's owner and mode,
# and a link a link.
marked_set() {
	local file text=$2 name=${3:-} part
	file=$(realpath -m "$1")
	part=$file.tracelab-part
	[ -e "$file" ] || [ -n "$text" ] || return 0
	marked_whole "$file" "$name"
	mkdir -p "${file%/*}"
	scratch+=("$part")
	if [ -e "$file" ]; then cp -a "$file" "$part"; else : >"$part"; fi
	{
		[ -z "$text" ] || printf '%s\n' "# tracelab BEGIN${name:+ $name}" "$text" "# tracelab END${name:+ $name}"
		marked_without "$file" "$name"
	} >"$part"
	mv -f "$part" "$file"
}

# marked_whole FILE [NAME]: without its end mark our part would reach to the end of the file, somebody's lines included.
marked_whole() {
	local begin="# tracelab BEGIN${2:+ $2}" end="# tracelab END${2:+ $2}"
	[ ! -e "$1" ] || [ "$(grep -cxF "$begin" "$1")" = "$(grep -cxF "$end" "$1")" ] ||
		die "$1 has a line '$begin' and no '$end' to it, or the other way round" \
			"put the missing line back around what the lab wrote, or take all of it out, then run up again"
}
