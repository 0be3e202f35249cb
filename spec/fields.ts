import { z } from "zod";
import { configLinePattern, configSymbol } from "./config-line.ts";
import { quote, secretQuery, visible } from "./quote.ts";
import {
	debianPackageForm,
	debianSuiteForm,
	isSourceFault,
	parseSource,
	type Source,
	sourceForms,
	sourcePattern,
} from "./source.ts";

// Leaves of the stack file. `title` is what an error calls the value, `description` the rule, for hovers and hints.

/** Names become parts of file names, host names, Pulumi's names and libvirt's. */
export const namePattern = /^[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?$/;

export const name = z
	.string()
	.regex(namePattern)
	.meta({
		title: "name",
		description: "At most 31 of a-z, 0-9 and -, first a letter, last no dash.",
		examples: ["main"],
	});

export const moduleName = z
	.string()
	.regex(/^[a-z](?:[a-z0-9_-]{0,29}[a-z0-9_])?$/)
	.meta({
		title: "module name",
		description: "At most 31 of a-z, 0-9, _ and -, first a letter, last no dash.",
		examples: ["mymodule"],
	});

/** What a source makes may have any name that the kernel takes: it has room for 55 bytes. */
export const loadedModule = z
	.string()
	.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,54}$/)
	.meta({
		title: "module name",
		description: "At most 55 of A-Z, a-z, 0-9, _ and -, first no _ or -.",
		examples: ["mymodule"],
	});

/** The name of something else in the file; that it is there is checked over the whole file. */
export const reference = (description: string) => z.string().meta({ title: "name", description, examples: ["main"] });

export const prose = z
	.string()
	.regex(/^(?:[^\p{Cc}\p{Cs}]|[\n\t])*$/u)
	.meta({
		title: "piece of plain text",
		description: "What this stack is for, in a sentence; without control characters.",
		examples: ["The smallest useful lab."],
	});

const tarball = z.strictObject({
	url: z
		.string()
		.regex(new RegExp(`^https?://(?![^/]*@)(?!.*${secretQuery})[!-~]+$`))
		.meta({
			title: "address of a tarball",
			description: "An http or https address, without a user, a password or a token in it.",
			examples: ["https://download.qemu.org/qemu-9.2.0.tar.xz"],
		}),
	sha256: z
		.string()
		.regex(/^[0-9a-f]{64}$/)
		.meta({
			title: "sha256",
			description: "The tarball's sha256: 64 of 0-9 and a-f, as sha256sum prints it.",
		}),
});

export const source = (description: string, examples: string[]) =>
	z
		.union([z.string().meta({ pattern: sourcePattern, examples }), tarball])
		.transform((value, context): Source => {
			const parsed = parseSource(value);
			if (!isSourceFault(parsed)) return parsed;
			context.addIssue({ code: "custom", message: parsed.message, params: { hint: parsed.hint } });
			return z.NEVER;
		})
		.meta({ title: "source", description: `${description} One of: ${sourceForms}.` });

export const debianPackage = z
	.string()
	.regex(new RegExp(`^${debianPackageForm}$`))
	.meta({
		title: "Debian package name",
		description: "The name of a Debian package: a-z, 0-9, +, - and a full stop, last no -.",
		examples: ["strace"],
	});

export const suite = z
	.string()
	.regex(new RegExp(`^${debianSuiteForm}$`))
	.meta({
		title: "Debian suite",
		description: "A Debian suite by its code name: a-z, 0-9 and -.",
		examples: ["bookworm"],
	});

export const qemuTarget = z
	.string()
	.regex(/^[a-z0-9_]+-(?:softmmu|linux-user)$/)
	.meta({
		title: "QEMU target",
		description: "A target of QEMU: ARCHITECTURE-softmmu or ARCHITECTURE-linux-user.",
		examples: ["x86_64-softmmu"],
	});

export const traceBackend = z.enum(["dtrace", "ftrace", "log", "nop", "simple", "syslog", "ust"]).meta({
	title: "trace backend",
	description: "A trace backend of QEMU.",
});

/** Options of QEMU's configure that no stack file may give, and what to do instead. */
const takenOptions = new Map([
	["help", "leave it out: with it, configure builds nothing"],
	["prefix", "leave it out: the lab chooses where a QEMU is installed"],
	["target-list", "write the targets in targets: instead"],
	["enable-trace-backend", "write the backends in traceBackends: instead"],
	["enable-trace-backends", "write the backends in traceBackends: instead"],
	["version", "leave it out: with it, configure builds nothing"],
]);

export const configureOption = z
	.string()
	.regex(/^--[a-z0-9][a-z0-9_-]*(?:=[ -~]*)?$/)
	.superRefine((value, context) => {
		const hint = takenOptions.get(value.slice(2).split("=")[0] ?? "");
		if (hint !== undefined)
			context.addIssue({
				code: "custom",
				message: `${visible(value)} is not a stack file's to give`,
				params: { hint },
			});
	})
	.meta({
		title: "configure option",
		description: "An option of QEMU's ./configure: --NAME or --NAME=VALUE.",
		examples: ["--enable-vnc"],
	});

export const fragment = name.meta({
	title: "fragment's name",
	description: "A file kconfig/NAME.config.",
	examples: ["quickstart"],
});

export const profile = name.meta({
	title: "profile's name",
	description: "Event profile, a file profiles/NAME.yaml.",
	examples: ["block-io"],
});

export const configLine = z
	.string()
	.regex(configLinePattern)
	.meta({
		title: "configuration line",
		description:
			'CONFIG_NAME=VALUE, where VALUE is y, m, a number, a "text", or n for off; a text has none of $ ` ; & | < >, which a build would run.',
		examples: ["CONFIG_KPROBES=y"],
	});

/** Variables of kbuild that say where it builds. */
const takenVariables = ["M", "MO", "O", "KBUILD_EXTMOD", "KBUILD_OUTPUT"];

export const makeVariable = z
	.string()
	.regex(/^[A-Za-z_][A-Za-z0-9_]*=[A-Za-z0-9 ._/,:=+@%-]*$/)
	.superRefine((value, context) => {
		const name = value.split("=")[0] ?? "";
		if (!takenVariables.includes(name)) return;
		const message = `the lab itself gives make ${name}`;
		context.addIssue({ code: "custom", message, params: { hint: "leave it out: the lab chooses where it builds" } });
	})
	.meta({
		title: "make variable",
		description:
			"NAME=VALUE, where VALUE has letters, digits, spaces and . _ / , : = + @ % -: all else means something to make or a shell.",
		examples: ["CONFIG_LTTNG=m"],
	});

export const kernelArgument = z
	.string()
	.regex(/^(?=["A-Za-z0-9-])(?:[!#-~]|"[ !#-~]*")+$/)
	.meta({
		title: "kernel argument",
		description:
			"One argument of the kernel's command line, in ASCII: first a letter, a digit, - or a double quote; spaces only between double quotes.",
		examples: ["initcall_debug"],
	});

/** The kernel keeps 15 bytes of a process's name. */
export const processNameBytes = 15;

export const processName = z
	.string()
	.regex(/^(?!-)[A-Za-z0-9_.:@-]*$/)
	.min(1)
	.max(processNameBytes)
	.meta({
		title: "process name",
		description:
			"Name of the QEMU process, as pgrep -x finds it: at most 15 of A-Z, a-z, 0-9, _, ., :, @ and -, first no -; by default STACK-DOMAIN or, where that is longer, DOMAIN.",
		examples: ["quickstart-vm"],
	});

export const probeScript = z
	.string()
	.regex(/^[^~\s\p{Cc}\p{Cs}](?:[^\p{Cc}\p{Cs}]*[^\s\p{Cc}\p{Cs}])?\.stp$/u)
	.meta({
		title: "path of a SystemTap script",
		description: "A SystemTap script, FILE.stp: absolute, or from the project's root; ~ is not expanded.",
		examples: ["examples/mymodule.stp"],
	});

/** What a guest sees, in its own words. */
export const guestFact = (description: string, examples: string[]) =>
	z
		.string()
		.regex(/^[!-~](?:[ -~]{0,62}[!-~])?$/)
		.meta({
			title: "text that a guest sees",
			description: `${description} At most 64 printable ASCII characters, first and last no space.`,
			examples,
		});

/** The leaf has room for twelve bytes. */
export const hypervisorSignature = z
	.string()
	.regex(/^[A-Za-z0-9](?:[A-Za-z0-9 ]{0,10}[A-Za-z0-9])?$/)
	.meta({
		title: "hypervisor's signature",
		description:
			"Signature in CPUID leaf 0x40000000, with KVM alone: at most 12 of A-Z, a-z, 0-9 and the space, first and last no space.",
		examples: ["Microsoft Hv"],
	});

/** A map of things by name. */
export const named = <K extends z.ZodString, V extends z.ZodType>(key: K, value: V) => z.record(key, value);

/** A list in which nothing stands twice. */
export const list = <T extends z.ZodType<string>>(item: T) =>
	z
		.array(item)
		.superRefine((items, context) => {
			for (const [index, value] of items.entries()) {
				if (items.indexOf(value) === index) continue;
				context.addIssue({
					code: "custom",
					path: [index],
					message: `${quote(value)} is there twice`,
					params: { hint: "keep one of them" },
				});
			}
		})
		.meta({ uniqueItems: true });

type Context<T> = Parameters<Parameters<z.ZodType<T>["superRefine"]>[0]>[1];

/** Domains run on qemu-system-x86_64. */
export function includesX86(targets: string[], context: Context<string[]>): void {
	if (targets.includes("x86_64-softmmu")) return;
	context.addIssue({
		code: "custom",
		message: "x86_64-softmmu is missing",
		params: { hint: "add it: it is the target that the lab's domains run on" },
	});
}

/** A kernel on x86 reads 2047 bytes of its command line; the rest is for what the lab itself puts there. */
const mostArgumentBytes = 1800;

/** What is too much, the kernel would cut off without a word. */
export function fitsCommandLine(items: string[], context: Context<string[]>): void {
	const { length } = items.join(" ");
	if (length <= mostArgumentBytes) return;
	const message = `the arguments come to ${length} bytes, and the command line has room for ${mostArgumentBytes}`;
	const hint = "write fewer or shorter ones; for a process's own settings, files in the guest do as well";
	context.addIssue({ code: "custom", message, params: { hint } });
}

/** A guest without the flag does not ask for the signature. */
export function hiddenOrSigned(
	{ hidden, signature }: { hidden: boolean; signature?: string | undefined },
	context: Context<{ hidden: boolean; signature?: string | undefined }>,
): void {
	if (!hidden || signature === undefined) return;
	context.addIssue({
		code: "custom",
		path: ["signature"],
		message: "a hidden hypervisor has no signature",
		params: { hint: "keep one of hidden: true and the signature" },
	});
}

/** Of two values for one symbol the build would silently take the last. */
export const oneValueASymbol = (lines: string[], context: Context<string[]>): void =>
	oneValueEach(lines, configSymbol, context);

/** As make would of two values for one variable. */
export const oneValueAVariable = (lines: string[], context: Context<string[]>): void =>
	oneValueEach(lines, (line) => line.split("=")[0], context);

function oneValueEach(
	lines: string[],
	symbolOf: (line: string) => string | undefined,
	context: Context<string[]>,
): void {
	const first = new Map<string, string>();
	for (const [index, line] of lines.entries()) {
		const symbol = symbolOf(line);
		const before = symbol === undefined ? undefined : first.get(symbol);
		if (symbol !== undefined && before === undefined) first.set(symbol, line);
		if (before === undefined || before === line) continue;
		context.addIssue({
			code: "custom",
			path: [index],
			message: `${visible(symbol ?? "")} has a value already: ${visible(before)}`,
			params: { hint: "keep one of the two lines" },
		});
	}
}
