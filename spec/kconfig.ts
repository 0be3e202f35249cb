import { readFileSync } from "node:fs";

/** Folder with the kernel configuration fragments, one file a fragment: NAME.config. */
const kconfigFolder = new URL("../kconfig/", import.meta.url);

/** What each fragment asks for: its lines less the words about them, whose change is no other kernel. */
export function fragmentTexts(names: readonly string[]): string[] {
	return names.map((name) => {
		const lines = readFileSync(new URL(`${name}.config`, kconfigFolder), "utf8").split("\n");
		return lines.filter((line) => /^(CONFIG_|# CONFIG_\S+ is not set$)/.test(line)).join("\n");
	});
}
