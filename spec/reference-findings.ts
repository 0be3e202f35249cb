import { didYouMean, nearest } from "./did-you-mean.ts";
import type { Finding } from "./finding.ts";
import type { Path } from "./located.ts";
import { listed, quote } from "./quote.ts";
import type { RawStack } from "./raw-stack.ts";

/** References of a stack that lead nowhere, and modules that a domain's kernel cannot load. */
export function referenceFindings(stack: RawStack): Finding[] {
	const modules = stack.names("modules").map((module) => dangling(stack, "kernels", ["modules", module, "kernel"]));
	const domains = stack.names("domains").flatMap((domain) => [
		dangling(stack, "qemu", ["domains", domain, "qemu"]),
		dangling(stack, "kernels", ["domains", domain, "kernel"]),
		dangling(stack, "images", ["domains", domain, "image"]),
		...stack.texts("domains", domain, "modules").flatMap(([index]) => {
			const path = ["domains", domain, "modules", index];
			return [dangling(stack, "modules", path), otherKernel(stack, domain, path)];
		}),
	]);
	const probes = stack.names("probes").map((probe) => dangling(stack, "domains", ["probes", probe, "domain"]));
	const traces = stack
		.names("traces")
		.flatMap((trace) =>
			stack
				.texts("traces", trace, "domains")
				.map(([index]) => dangling(stack, "domains", ["traces", trace, "domains", index])),
		);
	const none = stack.at("domains") !== undefined && stack.names("domains").length === 0 ? [noDomain(stack)] : [];
	const slips = (["qemu", "kernels", "images"] as const).flatMap((kind) => misnamed(stack, kind));
	return [...modules, ...domains, ...probes, ...traces, ...none, ...slips].filter((finding) => finding !== undefined);
}

/** What has defaults only is built by any name: so one that nothing uses, and that is nearly a used one, is a slip. */
function misnamed(stack: RawStack, kind: "qemu" | "kernels" | "images"): Finding[] {
	const key = { qemu: "qemu", kernels: "kernel", images: "image" }[kind];
	const users = (["domains", "modules"] as const).flatMap((of) =>
		stack.names(of).map((name) => stack.text(of, name, key)),
	);
	const there = stack.names(kind);
	const used = there.filter((name) => users.includes(name));
	// Two versions of one thing differ in numbers.
	const letters = (name: string) => name.replaceAll(/[0-9]+/g, "");
	return there.flatMap((name): Finding[] => {
		const meant = used.includes(name) ? undefined : nearest(name, used);
		if (meant === undefined || letters(meant) === letters(name)) return [];
		const message = `nothing uses the ${nouns[kind]} ${quote(name)} (did you mean ${quote(meant)}?)`;
		return [
			{
				path: [kind, name],
				at: "key",
				message,
				hint: `call it ${quote(meant)}, have a domain name it, or take it out`,
			},
		];
	});
}

const nouns = { qemu: "QEMU", kernels: "kernel", images: "image", modules: "module", domains: "domain" };

function dangling(stack: RawStack, kind: keyof typeof nouns, path: Path): Finding | undefined {
	const name = stack.text(...path);
	const there = stack.names(kind);
	if (name === undefined || there.includes(name)) return undefined;
	const known = there.length === 0 ? `${kind} is empty` : `${kind} has: ${listed(there)}`;
	return {
		path,
		at: "value",
		message: `no ${nouns[kind]} named ${quote(name)}${didYouMean(name, there)}`,
		// No name is what nothing can be added under.
		hint: `${known}; name what is there${/^[a-z][a-z0-9_-]*$/.test(name) ? `, or add ${quote(name)} to ${kind}` : ""}`,
	};
}

/** A kernel refuses a module that was built for another one. */
function otherKernel(stack: RawStack, domain: string, path: Path): Finding | undefined {
	const module = stack.text(...path);
	const booted = stack.text("domains", domain, "kernel");
	const kernel = module === undefined ? undefined : stack.text("modules", module, "kernel");
	if (module === undefined || booted === undefined || kernel === undefined || booted === kernel) return undefined;
	return {
		path,
		at: "value",
		message: `module ${quote(module)} is built for kernel ${quote(kernel)}, and this domain boots ${quote(booted)}`,
		hint: `give the domain the kernel ${quote(kernel)}, give the module ${quote(booted)}, or take the module out here`,
	};
}

function noDomain(stack: RawStack): Finding | undefined {
	const domains = stack.at("domains");
	if (domains === null || typeof domains !== "object" || Array.isArray(domains)) return undefined;
	const hint = "add one: a name, and below it its qemu, kernel and image; stacks/quickstart.yaml has one";
	return { path: ["domains"], at: "key", message: "a lab needs at least one domain", hint };
}
