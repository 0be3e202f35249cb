#!/usr/bin/env bash
# The lab card: what the lab says about itself, for people and for ./lab.
# Input: card, its text. Owns $state_dir/labs/STACK.json.
source lib/step.sh
: "${card:?}"

file=$state_dir/labs/$stack.json

probe() { [ "$(cat "$file" 2>/dev/null || :)" = "$card" ] || drift "the lab card $file is not what the stack says"; }

apply() {
	printf '%s\n' "$card" | write_file "$file" 644
	output card "$file"
}

remove() {
	rm -f "$file"
	rmdir --ignore-fail-on-non-empty "${file%/*}" 2>/dev/null || :
}
