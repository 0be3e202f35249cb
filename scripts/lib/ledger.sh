#!/usr/bin/env bash
# The ledger: what a setting was before the first lab changed it, and which stacks rely on it now.
# One folder a setting, $state_dir/ledger/KEY: `before` (free text) and `owners/STACK` (empty files); and a copy of it,
# $state_dir/ledger-copy/KEY, from which an entry that somebody deletes is put back.
# Callers hold a lock of the setting's own.
source lib/step.sh

# ledger_claim KEY BEFORE: records this stack as an owner; BEFORE is kept only by the first. An entry without an owner is
# what a kill left of one that was being made or given up: the setting may have become another since.
ledger_claim() {
	local entry=$state_dir/ledger/$1
	ledger_mend "$1"
	ledger_owned "$1" || rm -rf "$state_dir/ledger-copy/$1" "$entry"
	mkdir -p "$entry/owners"
	[ -e "$entry/before" ] || printf '%s' "$2" | write_file "$entry/before" 644
	: >"$entry/owners/$stack"
	ledger_keep "$1"
}

# ledger_keep KEY: notes in the copy what the entry has. Another owner may be of an older tracelab, which gives up the entry alone.
ledger_keep() {
	local file entry=$state_dir/ledger/$1 copy=$state_dir/ledger-copy/$1
	while read -r file; do
		cmp -s "$entry/$file" "$copy/$file" || write_file "$copy/$file" 644 <"$entry/$file"
	done < <(ledger_files "$entry" | grep -v '^owners/' && echo "owners/$stack")
}

# ledger_mend KEY: puts back what was deleted of the entry. Where its copy was deleted as well, a claim has what is there by then
# as what was there before: so that stays when the lab goes.
ledger_mend() {
	local file entry=$state_dir/ledger/$1 copy=$state_dir/ledger-copy/$1
	while read -r file; do
		[ -e "$entry/$file" ] || write_file "$entry/$file" 644 <"$copy/$file"
	done < <(ledger_files "$copy")
}

ledger_files() { find "$1" -type f -name '[!.]*' ! -name '*.part' -printf '%P\n' 2>/dev/null || :; }

# ledger_probe KEY…: an entry that was taken away is drift, and so is its copy.
ledger_probe() {
	local key
	for key; do
		if ! ledger_notes "$state_dir/ledger/$key"; then
			drift "the ledger entry $key is missing"
		elif ! ledger_notes "$state_dir/ledger-copy/$key"; then
			drift "the copy of the ledger entry $key is missing"
		fi
	done
}

ledger_notes() { [ -e "$1/owners/$stack" ] && [ -e "$1/before" ]; }

# ledger_owners KEY: prints the stacks that own the setting, by the entry or by its copy.
ledger_owners() { { ledger_files "$state_dir/ledger/$1/owners" && ledger_files "$state_dir/ledger-copy/$1/owners"; } | sort -u; }

# ledger_owned KEY: is any stack an owner of it?
ledger_owned() { [ -n "$(ledger_owners "$1")" ]; }

# ledger_before KEY: prints what was there before the first owner.
ledger_before() { cat "$state_dir/ledger/$1/before"; }

# ledger_last KEY: is this stack the only owner, so that the setting goes back to what it was?
ledger_last() { [ "$(ledger_owners "$1")" = "$stack" ]; }

# ledger_release KEY: gives up this stack's ownership. Call it after the setting was put back, so that a
# kill in between leaves the entry and the next remove does the work again. The copy first: it never has more than the entry had.
ledger_release() {
	rm -f "$state_dir/ledger-copy/$1/owners/$stack" "$state_dir/ledger/$1/owners/$stack"
	ledger_owned "$1" || rm -rf "$state_dir/ledger-copy/$1" "$state_dir/ledger/$1"
}

# ledger_restore KEY FUNCTION: gives up this stack's ownership; the last owner calls FUNCTION first, with what
# was there before the first one.
ledger_restore() {
	ledger_mend "$1"
	if ledger_last "$1"; then "$2" "$(ledger_before "$1")"; fi
	ledger_release "$1"
}
