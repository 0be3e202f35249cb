import { stack } from "./proof.ts";

/** Names of the resources that an up changed, or a preview would. */
export function changed(text: string): string[] {
	const lines = text.matchAll(/^ *(?:\+-|\+\+|--|\+|~|-) +(?:command|libvirt|tracelab):\S+ (\S+) /gm);
	const names = [...lines].map(([, name = ""]) => name.replace(new RegExp(`^${stack}-`), ""));
	return [...new Set(names)].sort();
}
