#!/usr/bin/env bash
# The lab card: what the lab says about itself, for people and for ./lab.
# Input: card, its text. Owns $state_dir/labs/STACK.json.
source lib/step.sh
: "${card:?}"

file=$state_dir/labs/$stack.json

probe() { if ! is_written; then drift "the lab card $file is not what the stack says"; fi; }

is_written() { cmp -s "$file" <(printf '%s\n' "$card"); }

apply() {
	if is_written; then
		say "$step: the lab card is up to date"
	else
		printf '%s\n' "$card" | write_file "$file" 644
		say "$step: wrote the lab card $file"
	fi
}

remove() {
	rm -f "$file"
	rmdir --ignore-fail-on-non-empty "${file%/*}" 2>/dev/null || :
}
