#!/usr/bin/env bash
# Compiles a SystemTap script on this host for one guest: for its kernel's very build, with the modules that are
# installed for it.
# Inputs:
#   script         the script's path, as errors name it
#   text           what is in it
#   kernel_prefix  the kernel's build
#   folder         the folder of the domain on this host; its modules are those in root/lib/modules
#   domain         the domain's name in libvirt
#   modules        names of the lab's modules that belong there, with spaces between them
#   corrections    lines "FILE WORD NOW HEADER": spec/systemtap-corrections.ts has the why of each
source lib/guest-agent.sh
: "${script:?}" "${text?}" "${kernel_prefix:?}" "${folder:?}" "${modules?}" "${corrections?}"

own_runtime=$root/usr/share/systemtap/runtime

# compile_probe NAME FOLDER WORK: makes NAME.ko in FOLDER, and `points`, the script's probe points as a run reports
# them, one a line with the script's own words behind a tab. WORK is an empty folder for all else.
compile_probe() {
	local name=$1 part=$2 work=$3 release tree sysroot options
	command -v stap >/dev/null || die "there is no stap on this machine" "run up again: it installs systemtap"
	[ -e "$root$kernel_prefix/build-id" ] || die "the kernel $kernel_prefix is not built" "run up again: it builds it"
	release=$(<"$root$kernel_prefix/release")
	tree=$root$folder/root/lib/modules/$release
	[ -d "$tree" ] || die "$folder does not hold the modules of the kernel $kernel_prefix" "run up again: it installs them"
	# stap takes modules and the kernel's build from one tree; the guest's own is for the guest to see. It stays, since
	# stap finds what it has kept by the name of this folder.
	sysroot=$cache_dir/systemtap/$domain-$(<"$root$kernel_prefix/build-id")
	mkdir -p "$sysroot/lib/modules/$release" "$work/tmp"
	ln -sfn "$tree"/* "$sysroot/lib/modules/$release/"
	ln -sfn "$root$kernel_prefix/build" "$sysroot/lib/modules/$release/build"
	# Not every name that a file can have is one that stap can write into the C of a module.
	printf '%s' "$text" >"$work/script.stp"
	options=(-r "$release" "--sysroot=$sysroot")
	corrected_runtime
	[ -z "$runtime" ] || options+=(-R "$runtime")
	# With -t the module counts the hits of each point, and says so when it ends.
	options+=(-t -m "$name")
	stap_ "$work" -p2 "${options[@]}" script.stp
	points <"$work/said" >"$part/points"
	stap_ "$work" -p4 "${options[@]}" script.stp
	mv "$work/$name.ko" "$part/"
}

# stap_ WORK ARGUMENT…: runs stap there, its output in WORK/said, or ends the step with what it said and what to do.
# What it keeps for the next time (checks of the kernel, above all) goes to the cache, and no person's own settings count.
stap_() {
	local work=$1 rc=0
	shift
	mkdir -p "${log_file%/*}" "$cache_dir/systemtap"
	printf '\n$ %s\n' "stap ${*@Q}" >>"$log_file"
	(cd "$work" && TMPDIR=$work/tmp SYSTEMTAP_DIR=$cache_dir/systemtap stap "$@" >said 2>errors </dev/null) || rc=$?
	cat "$work/errors" >>"$log_file"
	[ "$rc" = 0 ] || does_not_compile "$work/errors"
}

# points: of what stap -p2 prints. A point, its place in the kernel, and what it was made of: the last is the script's.
points() {
	awk '/^# / { within = /^# probes/; next }
		within && match($0, " /\\*") {
			point = own = substr($0, 1, RSTART - 1)
			if (match($0, /.*<- /)) { own = substr($0, RLENGTH + 1); sub(/ \*\/$/, "", own) }
			# A place in a source is too long to be read, and the function has a name.
			gsub(/@[^"]*/, "", own)
			print point "\t" own
		}'
}

# corrected_runtime: sets `runtime` to a copy of SystemTap's with what this kernel needs, or to nothing where it needs
# nothing. The copy has a place of its own by what is in it, so that stap finds there what it has kept.
corrected_runtime() {
	local file word now header needed='' copy part
	runtime=''
	while read -r file word now header; do
		if needs_correction "$file" "$now" "$header"; then needed+="$file $word $now"$'\n'; fi
	done <<<"$corrections"
	[ -n "$needed" ] || return 0
	copy=$cache_dir/systemtap/runtime-$({ printf '%s' "$needed" && find "$own_runtime" -type f -print0 | sort -z | xargs -0 cat; } | sha256sum | cut -c 1-16)
	if [ ! -d "$copy" ]; then
		mkdir -p "$cache_dir/systemtap"
		part=$(mktemp -d "$copy.XXXXXX")
		scratch+=("$part")
		cp -r "$own_runtime/." "$part/"
		while read -r file word now; do
			sed -i "s/\\b$word\\b/$now/g" "$part/$file"
			grep -qw "$now" "$part/$file" || die "SystemTap's runtime has no $word in $file, which this kernel calls $now" \
				"its row in spec/systemtap-corrections.ts is not for this SystemTap: $(stap_version)"
		done < <(printf '%s' "$needed")
		chmod 755 "$part"
		# Another step may have been first.
		mv -T "$part" "$copy" 2>/dev/null || [ -d "$copy" ]
	fi
	say "$step: SystemTap's runtime corrected for this kernel: $(awk '{printf "%s%s is %s", sep, $2, $3; sep = ", "}' <<<"${needed%$'\n'}")"
	runtime=$copy
}

# needs_correction FILE NOW HEADER: does the kernel have the new word, and the runtime not?
needs_correction() { grep -qsw "$2" "$root$kernel_prefix/source/$3" && ! grep -qsw "$2" "$own_runtime/$1"; }

stap_version() { stap --version 2>&1 | sed -n '1s/.*(version \([^,)]*\).*/\1/p'; }

does_not_compile() {
	local said
	said=$(grep -v '^Tip: ' "$1" | tail -n 40)
	# With the path that the person knows, an editor goes there.
	said=${said//' at script.stp:'/" at $script:"}
	said=${said//"'script.stp'"/"'$script'"}
	say "tracelab: $step: stap does not compile $script:"
	say "  | ${said//$'\n'/$'\n'  | }"
	say "  what to do: $(what_to_do "$said")"
	end
}

# what_to_do SAID: the likeliest cause first.
what_to_do() {
	local said=$1 module
	if [[ $said == *'Pass 4: compilation failed'* ]]; then
		printf 'SystemTap %s does not know this kernel, as the lines above show; what a runtime lacks is corrected by a row in spec/systemtap-corrections.ts' "$(stap_version)"
	elif [[ $said == *'no match (similar functions: '* ]]; then
		said=${said#*'no match (similar functions: '}
		printf 'did you mean "%s"? It is the nearest of the functions there' "${said%%[,)]*}"
	elif [[ $said == *'no match'* ]] && module=$(not_installed_module); then
		installation_of "$module"
	elif [[ $said == *'no match'* ]]; then
		printf 'see that the function is there and was not merged into its callers: noinline keeps it (nm NAME.ko, or System.map of the kernel)'
	elif [[ $said == *'missing '*debuginfo* ]]; then
		printf 'ask for CONFIG_DEBUG_INFO_DWARF5=y in the stack file, as the fragment quickstart does'
	else
		printf 'mend the script at that place; man stap has the language, stap --dump-probe-types the points'
	fi
}

# not_installed_module: the first module that the script names and the guest's tree has not; fails where there is none.
# The kernel takes - and _ in a module's name for the same.
not_installed_module() {
	local name
	while read -r name; do
		[ -z "$(installed_file "$name")" ] || continue
		printf '%s' "$name"
		return
	done < <(grep -oE 'module\("[A-Za-z0-9_-]+"\)' <<<"$text" | sed 's/.*"\(.*\)".*/\1/' | sort -u)
	return 1
}

installed_file() { find "$root$folder/root/lib/modules" -name "${1//[-_]/[-_]}.ko*" -print -quit 2>/dev/null; }

# installation_of MODULE: that SystemTap looks for a module below /lib/modules alone, loaded or not.
installation_of() {
	local name=$1 release loaded=''
	release=$(<"$root$kernel_prefix/release")
	# shellcheck disable=SC2016  # expanded in the guest
	if guest_answers 5 && guest_run '[ -e "/sys/module/$1/sections" ]' "${name//-/_}" 2>/dev/null; then loaded='loaded, but '; fi
	printf 'module %s is %snot installed: SystemTap looks for it below /lib/modules/%s of %s. ' "$name" "$loaded" "$release" "$vm"
	if [[ " $modules " == *" $name "* ]]; then
		printf 'Its file was taken away by hand: up installs it again'
		return
	fi
	printf 'Name it in modules: of domain %s in the stack file, and up installs it; ' "$vm"
	if [ -n "$modules" ]; then printf 'there now: %s' "${modules// /, }"; else printf 'there is none now'; fi
}
