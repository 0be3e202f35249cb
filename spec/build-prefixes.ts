import { readFileSync } from "node:fs";
import { buildPrefix } from "./build-prefix.ts";
import { treeHash } from "./content-hash.ts";
import { guestPackages } from "./guest-packages.ts";
import { guestToolSources } from "./guest-tools.ts";
import { fragmentTexts } from "./kconfig.ts";
import type { ImageSpec, KernelSpec, ModuleSpec, ProbeSpec, QemuSpec, Stack } from "./schema.ts";
import { correctionLines } from "./systemtap-corrections.ts";
import { probedModules, probeModule } from "./systemtap-script.ts";

export const qemuPrefix = (qemu: QemuSpec): string => buildPrefix("qemu", qemu);

export function kernelPrefix({ source, fragments, config }: KernelSpec): string {
	return buildPrefix("kernel", { source, texts: fragmentTexts(fragments), config });
}

export function imagePrefix({ suite, packages }: ImageSpec): string {
	return buildPrefix("image", { suite, packages: imagePackages(packages) });
}

/** All packages that an image is asked to have. */
export const imagePackages = (more: readonly string[]): string[] => [...new Set([...guestPackages, ...more])].sort();

/** The hash covers the text of a working tree, so an edit is another build. */
export function modulePrefix(name: string, { source, load, make }: ModuleSpec, kernel: string): string {
	const content = source.kind === "path" ? treeHash(source.path) : source;
	return buildPrefix("module", { name, load, make, content, kernel });
}

export const guestToolsPrefix = (): string => buildPrefix("guest-tools", { sources: guestToolSources() });

/** Of a probe in a domain with that kernel and those modules, prefixes by name. */
export function probePrefix(
	name: string,
	{ script }: ProbeSpec,
	kernel: string,
	modules: Readonly<Record<string, string>>,
): string {
	const text = readFileSync(script, "utf8");
	return buildPrefix("probe", {
		module: probeModule(name),
		text,
		kernel,
		modules: probedModules(text, modules),
		corrections: correctionLines,
	});
}

/** Where each build of a stack is installed, by its name, such as kernel-main. */
export function buildPrefixes(stack: Stack): Record<string, string> {
	const kernels = each(stack.kernels, (_, kernel) => kernelPrefix(kernel));
	const modules = each(stack.modules, (name, module) => modulePrefix(name, module, kernels[module.kernel] ?? ""));
	const probes = Object.entries(stack.probes).map(([name, probe]): [string, string] => {
		const domain = stack.domains[probe.domain];
		const loaded = each(
			Object.fromEntries((domain?.modules ?? []).map((module) => [module, module])),
			(module) => modules[module] ?? "",
		);
		return [`probe-${name}-${probe.domain}`, probePrefix(name, probe, kernels[domain?.kernel ?? ""] ?? "", loaded)];
	});
	return {
		"guest-tools": guestToolsPrefix(),
		...named(
			"image",
			each(stack.images, (_, image) => imagePrefix(image)),
		),
		...named("kernel", kernels),
		...named("module", modules),
		...Object.fromEntries(probes),
		...named(
			"qemu",
			each(stack.qemu, (_, qemu) => qemuPrefix(qemu)),
		),
	};
}

/** Names of the builds that each module and probe is made for: its kernel, and of a probe the modules that decide what it is compiled to. */
export function madeFor({ modules, probes, domains }: Stack): Record<string, readonly string[]> {
	return Object.fromEntries([
		...Object.entries(modules).map(([name, { kernel }]) => [`module-${name}`, [`kernel-${kernel}`]]),
		...Object.entries(probes).map(([name, { script, domain }]) => {
			const loaded = (domains[domain]?.modules ?? []).map((module) => [module, `module-${module}`]);
			const probed = probedModules(readFileSync(script, "utf8"), Object.fromEntries(loaded));
			return [`probe-${name}-${domain}`, [`kernel-${domains[domain]?.kernel}`, ...Object.values(probed)]];
		}),
	]);
}

function each<T>(map: Readonly<Record<string, T>>, make: (name: string, value: T) => string): Record<string, string> {
	return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, make(name, value)]));
}

function named(kind: string, prefixes: Readonly<Record<string, string>>): Record<string, string> {
	return Object.fromEntries(Object.entries(prefixes).map(([name, prefix]) => [`${kind}-${name}`, prefix]));
}
