// Kernels read their configuration as makefiles and as shell scripts, too: in a text, $ ` ; & | < and > would be run.
const value = '(?:[ymn]|-?[0-9]+|0x[0-9a-fA-F]+|"(?:[ !#%\'-:=?-[\\]^_a-{}~]|\\\\[\\\\"])*")';

/** A line of a kernel configuration that sets a symbol, or says that it is off. */
export const configLinePattern = new RegExp(
	`^(?:(CONFIG_[A-Za-z0-9_]+)=${value}|# (CONFIG_[A-Za-z0-9_]+) is not set)$`,
);

/** The symbol that a line sets; undefined for any other line. */
export function configSymbol(line: string): string | undefined {
	const [, set, off] = configLinePattern.exec(line) ?? [];
	return set ?? off;
}
