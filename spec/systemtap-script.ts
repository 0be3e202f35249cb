/** Name of the kernel module that a probe is compiled to: another one than that of the module it probes. */
export const probeModule = (probe: string): string => `stap_${probe.replaceAll("-", "_")}`;

/**
 * The builds, of those given by module, that decide what a script is compiled to: of the modules that it names, or of
 * all of them where it names some by a pattern. So the edit of one module compiles no other module's probes anew.
 */
export function probedModules(text: string, builds: Readonly<Record<string, string>>): Record<string, string> {
	const byPattern = /\bmodule\("[^"]*[*?[{][^"]*"\)/.test(text);
	// The kernel takes - and _ in a module's name for the same.
	const plain = text.replaceAll("-", "_");
	return Object.fromEntries(
		Object.entries(builds).filter(([name]) => byPattern || plain.includes(name.replaceAll("-", "_"))),
	);
}
