#!/usr/bin/env bash
# The ledger: what a setting was before the first lab changed it, and which stacks rely on it now.
# One folder a setting, $state_dir/ledger/KEY: `before` (free text) and `owners/STACK` (empty files).
# Callers hold a lock of the setting's own.
source lib/step.sh

# ledger_claim KEY BEFORE: records this stack as an owner; BEFORE is kept only by the first. An entry without an owner is
# what a kill left of one that was being made or given up: the setting may have become another since.
ledger_claim() {
	local entry=$state_dir/ledger/$1
	ledger_owned "$1" || rm -rf "$entry"
	mkdir -p "$entry/owners"
	[ -e "$entry/before" ] || printf '%s' "$2" | write_file "$entry/before" 644
	: >"$entry/owners/$stack"
}

# ledger_probe KEY…: an entry that was taken away is drift. Claimed anew, it has what is there by then as what was
# there before: so that stays when the lab goes.
ledger_probe() {
	local key
	for key; do
		if ! ledger_has "$key" || [ ! -e "$state_dir/ledger/$key/before" ]; then drift "the ledger entry $key is missing"; fi
	done
}

# ledger_has KEY: is this stack an owner of the setting?
ledger_has() { [ -e "$state_dir/ledger/$1/owners/$stack" ]; }

# ledger_owned KEY: is any stack an owner of it?
ledger_owned() { compgen -G "$state_dir/ledger/$1/owners/*" >/dev/null; }

# ledger_before KEY: prints what was there before the first owner.
ledger_before() { cat "$state_dir/ledger/$1/before"; }

# ledger_last KEY: is this stack the only owner, so that the setting goes back to what it was?
ledger_last() {
	local owners=("$state_dir/ledger/$1/owners/"*)
	[ ${#owners[@]} = 1 ] && [ "${owners[0]}" = "$state_dir/ledger/$1/owners/$stack" ]
}

# ledger_release KEY: gives up this stack's ownership. Call it after the setting was put back, so that a
# kill in between leaves the entry and the next remove does the work again.
ledger_release() {
	rm -f "$state_dir/ledger/$1/owners/$stack"
	ledger_owned "$1" || rm -rf "$state_dir/ledger/$1"
}

# ledger_restore KEY FUNCTION: gives up this stack's ownership; the last owner calls FUNCTION first, with what
# was there before the first one.
ledger_restore() {
	if ledger_last "$1"; then "$2" "$(ledger_before "$1")"; fi
	ledger_release "$1"
}
