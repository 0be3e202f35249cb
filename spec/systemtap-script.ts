/** Name of the kernel module that a probe is compiled to: another one than that of the module it probes. */
export const probeModule = (probe: string): string => `stap_${probe.replaceAll("-", "_")}`;

/**
 * The builds, of those given by their names in the stack file, that decide what a script is compiled to: those that it
 * names, so that the edit of one module compiles no other module's probes anew; or all of them where it names a module
 * by a pattern, or one that a build of another name may have made.
 */
export function probedModules(text: string, builds: Readonly<Record<string, string>>): Record<string, string> {
	// The kernel takes - and _ in a module's name for the same.
	const plain = (name: string) => name.replaceAll("-", "_");
	const names = new Set(Object.keys(builds).map(plain));
	const points = [...text.matchAll(/\bmodule\("([^"]*)"\)/g)].map(([, name = ""]) => plain(name));
	if (points.some((name) => !names.has(name))) return { ...builds };
	// A type can be a module's, too: @cast(pointer, "type", "module").
	return Object.fromEntries(Object.entries(builds).filter(([name]) => plain(text).includes(plain(name))));
}
