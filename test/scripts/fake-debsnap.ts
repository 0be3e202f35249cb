import type { ScratchHost } from "./run-step.ts";

/**
 * A debsnap whose archive is `archive/NAME=VERSION/` below the root, a folder of each package's files. Its status for a binary package
 * is that of the real one, which finds none of the other architecture.
 */
export function fakeDebsnap(scratch: ScratchHost): void {
	scratch.fake("dpkg-query", "echo 'ii  devscripts'");
	scratch.fake("dpkg", "echo amd64");
	scratch.fake(
		"debsnap",
		`from="$root/archive/\${*: -2:1}=\${*: -1}"
		[ -d "$from" ] || { echo "debsnap: No matching versions found for \${*: -2:1}" >&2; exit 2; }
		cp -r "$from" "\${*: -3:1}"
		[[ $* != *--binary* ]] || exit 2`,
	);
}
