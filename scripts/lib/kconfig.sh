#!/usr/bin/env bash
# What a kernel's configuration came out as, against what was asked for.
source lib/step.sh

# kconfig_check TREE CONFIG ASKED: every symbol in the file ASKED must have its value in CONFIG, or the step ends
# with what stands in the way.
kconfig_check() {
	local tree=$1 came_out=$2 line symbol value got missed=()
	local -A asked=() now=()
	while read -r line; do
		case $line in
		CONFIG_*=*) now[${line%%=*}]=${line#*=} ;;
		esac
	done <"$came_out"
	while read -r line; do
		if [[ $line =~ ^(CONFIG_[A-Za-z0-9_]+)=(\".*\"|[^[:space:]]+) ]]; then
			asked[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
		elif [[ $line =~ ^\#\ (CONFIG_[A-Za-z0-9_]+)\ is\ not\ set$ ]]; then
			asked[${BASH_REMATCH[1]}]=n
		fi
	done <"$3"
	for symbol in $(printf '%s\n' "${!asked[@]}" | sort); do
		value=${asked[$symbol]} got=${now[$symbol]:-n}
		[ "$got" = "$value" ] || missed+=("$symbol=$value came out as $got: $(kconfig_reason "$tree" "${symbol#CONFIG_}" "$value")")
	done
	[ ${#missed[@]} = 0 ] || die "$(join $'\n    ' "${missed[@]}")" \
		"ask for what stands in the way as well, in the kernel's fragments or its config:, or drop the symbol"
}

# kconfig_reason TREE SYMBOL VALUE: what Kconfig says of the symbol, with the values that came out (in `now`).
kconfig_reason() {
	local kind text reasons=() selectors=() found=''
	while IFS=$'\t' read -r kind text; do
		case $kind in
		found) found=1 ;;
		needs) reasons+=("it needs $text$(kconfig_values "$text")") ;;
		hidden) reasons+=("it has no prompt: only what selects it sets it") ;;
		choice) reasons+=("it is one of a choice, of which another was taken") ;;
		selected) [ -z "${now[CONFIG_$text]:-}" ] || selectors+=("$text") ;;
		esac
	done < <(kconfig_facts "$1" "$2")
	if [ -z "$found" ]; then
		printf 'this kernel has no such symbol'
	elif [ "$3" = n ] && [ ${#selectors[@]} != 0 ]; then
		printf 'it is selected by %s' "$(join ', ' "${selectors[@]}")"
	elif [ ${#reasons[@]} != 0 ]; then
		join '; ' "${reasons[@]}"
	else
		printf 'another symbol decides it'
	fi
}

# kconfig_values EXPRESSION: the symbols in it that are off, as " (X, Y are off)".
kconfig_values() {
	local name off=()
	while read -r name; do
		[ -n "${now[CONFIG_$name]:-}" ] || off+=("$name")
	done < <(grep -oE '!?\<[A-Z0-9][A-Z0-9_]*\>' <<<"$1" | grep -v '^!' | sort -u)
	case ${#off[@]} in
	0) ;;
	1) printf ' (%s is off)' "${off[0]}" ;;
	*) printf ' (%s are off)' "$(join ', ' "${off[@]}")" ;;
	esac
}

# kconfig_facts TREE SYMBOL: lines of a word and a text: found; needs EXPRESSION; hidden; choice; selected SYMBOL.
kconfig_facts() {
	# shellcheck disable=SC2016  # awk's own variables
	kconfig_whole "$1" | awk -v symbol="$2" '
		function fact(word, text) { if (!((word, text) in told)) { told[word, text] = 1; print word "\t" text } }
		function leave() { if (inside && !prompt) fact("hidden", ""); inside = 0 }
		/\\$/ { whole = whole substr($0, 1, length($0) - 1); next }
		{ $0 = whole $0; whole = "" }
		/^[[:space:]]*#/ { next }
		/^(if|menu|choice)([[:space:]]|$)/ { leave(); condition[++depth] = $1 == "if" ? substr($0, 4) : ""; kind[depth] = $1; if ($1 == "choice") choice = 1; open = 1; next }
		/^(endif|endmenu|endchoice)/ { leave(); if (kind[depth] == "choice") choice = 0; depth--; next }
		/^[[:space:]]*(menu)?config[[:space:]]/ {
			leave(); open = 0; current = $2
			if (current == symbol) {
				inside = 1; prompt = 0; fact("found", "")
				for (i = 1; i <= depth; i++) if (condition[i] != "") fact("needs", condition[i])
				if (choice) fact("choice", "")
			}
			next
		}
		/^[[:space:]]+(help|---help---)[[:space:]]*$/ { if (inside) leave(); open = 0; current = ""; next }
		/^[[:space:]]+select[[:space:]]/ { if ($2 == symbol && current != "") fact("selected", current) }
		/^[[:space:]]+depends on / {
			sub(/^[[:space:]]+depends on /, "")
			gsub(/[[:space:]]+/, " ")
			if (inside) fact("needs", $0)
			else if (open && kind[depth] == "menu") condition[depth] = $0
		}
		inside && /^[[:space:]]+(prompt|bool|tristate|int|hex|string)[[:space:]]+"/ { prompt = 1 }
		END { leave() }
	'
}

# kconfig_whole TREE: its Kconfig with each file that is sourced in its place, since what holds around it holds in it.
kconfig_whole() {
	(cd "$1" && awk '
		function put(file, line) {
			while ((getline line <file) > 0) {
				if (line !~ /^[[:space:]]*source[[:space:]]+"/) { print line; continue }
				gsub(/^[^"]*"|".*/, "", line)
				gsub(/\$\(?SRCARCH\)?/, "x86", line)
				put(line)
			}
			close(file)
		}
		BEGIN { put("Kconfig") }
	')
}
