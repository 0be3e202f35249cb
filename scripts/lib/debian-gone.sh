#!/usr/bin/env bash
# What a lock pins and Debian's mirrors have no more: from Debian's archive of all versions that there ever were, by debsnap,
# which knows where that is. It is in devscripts, which is installed (lib/packages.sh) once it is needed.
source lib/packages.sh
source lib/pins.sh

# debian_gone KIND FOLDER NAME=VERSION…: gets packages, KIND dsc or deb, into FOLDER, under the names that apt gives their
# files. No signature is checked: hold them to the sums that the lock has. What cannot be had is absent, and the step's log has
# debsnap's words.
debian_gone() {
	local kind=$1 folder=$2 got=$2/gone options=() package name version file
	shift 2
	install_debsnap
	say "$step: taking from Debian's archive of all versions, since its mirrors have moved on: $(only_in "$(printf '%s\n' "$@")" '')"
	# A package is of one of the two, and debsnap's status tells that it is not of the other.
	[ "$kind" = dsc ] || options=(--binary --architecture all --architecture "$(dpkg --print-architecture)")
	mkdir -p "$folder" "${log_file%/*}"
	for package; do
		name=${package%%=*} version=${package#*=}
		rm -rf --one-file-system -- "$got"
		printf '\n$ debsnap %s\n' "$package" >>"$log_file"
		debsnap --verbose "${options[@]}" --destdir "$got" "$name" "$version" >>"$log_file" 2>&1 </dev/null || :
		# Nor would those that follow be all there, and each may be waited for.
		[ -n "$(ls -A "$got" 2>/dev/null || :)" ] || return 0
		for file in "$got"/*; do
			# The archive's names have no epoch.
			if [ "$kind" = dsc ]; then mv -f -t "$folder" "$file"; else mv -fT "$file" "$folder/${name}_${version//:/%3a}_${file##*_}"; fi
		done
		rmdir "$got"
	done
}

# In a shell of its own, with which the lock ends.
install_debsnap() (
	[ -n "$(not_installed devscripts)" ] || return 0
	lock packages
	[ -z "$(not_installed devscripts)" ] || install_packages devscripts
	note_accounts
)

# neither SUITE WHAT: the error where that archive has it not, either.
neither() {
	die "neither Debian's $1 nor Debian's archive of all versions has $2 with the sha256 that the lock pins" \
		"see the end of $log_file; if that archive was not reached, run up again, or else take what there is now: $lock_update"
}
