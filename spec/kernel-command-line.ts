/** The command line of a guest's kernel; what the stack file adds comes last, so that it wins. */
export function kernelCommandLine(hostName: string, more: readonly string[]): string {
	return [
		"root=/dev/vda",
		"rw",
		"console=ttyS0",
		// The addresses in vmlinux are those of the running kernel.
		"nokaslr",
		`systemd.hostname=${hostName}`,
		...more,
	].join(" ");
}

/**
 * A command line as @pulumi/libvirt reads it back from libvirt (splitKernelCmdLine of its provider 0.8.3): maps of
 * KEY=VALUE, a new one at each repeated key, then all options without a value under `_`. It has to be given that very
 * form, or each preview would find a change.
 */
export function commandLineMaps(line: string): Record<string, string>[] {
	const maps: Record<string, string>[] = [];
	let current: Record<string, string> = {};
	const options = line.split(" ").filter((option) => option !== "");
	for (const option of options.filter((option) => option.includes("="))) {
		const at = option.indexOf("=");
		const key = option.slice(0, at);
		if (Object.hasOwn(current, key)) {
			maps.push(current);
			current = {};
		}
		current[key] = option.slice(at + 1);
	}
	if (Object.keys(current).length > 0) maps.push(current);
	const bare = options.filter((option) => !option.includes("="));
	return bare.length === 0 ? maps : [...maps, { _: bare.join(" ") }];
}
