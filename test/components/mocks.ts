import * as pulumi from "@pulumi/pulumi";
import type { RegisterResourceRequest } from "@pulumi/pulumi/proto/resource_pb.js";
import { scriptText } from "../../components/step-program.ts";
import type { HostFacts } from "../../spec/host-facts.ts";
import { probedStep, scriptOf, unexpected } from "./step-text.ts";

/** A resource as the engine was told of it. */
export interface Registered {
	type: string;
	name: string;
	inputs: Record<string, unknown>;
	/** The parent's name; empty where there is none. */
	parent: string;
	/** What it waits for, by `dependsOn` or by an input, in order; of a component, that is what the component has made. */
	dependsOn: string[];
	/** Name of the provider that was given; empty where none was. */
	provider: string;
	deleteBeforeReplace: boolean;
	ignoreChanges: string[];
	replaceOnChanges: string[];
}

export interface RunOptions {
	/**
	 * Name of Pulumi's stack.
	 * @default "t"
	 */
	stack?: string;
	/**
	 * What the host is.
	 * @default nothing may ask
	 */
	facts?: HostFacts;
	/**
	 * Is it the preview of a first up, where nothing has an id or outputs yet?
	 * @default an up
	 */
	preview?: boolean;
	/**
	 * What the probe of a step finds; an error where it cannot run.
	 * @default nothing was ever applied, so there is no stamp
	 */
	found?: (step: string) => Found;
	/**
	 * What steps are given as their interpreter; a probe by another one is an error.
	 * @default ["bash", "-c"]
	 */
	interpreter?: readonly string[];
}

/** What a probe says. */
export interface Found {
	drift: string;
	stamp: string;
}

/** What came of a program. */
export interface Run<T> {
	stack: string;
	/** What the program returned. */
	made: T;
	/** All that was registered, in order of the names. */
	resources: Registered[];
	/** `look at STEP` for each probe and `make NAME` for each resource, in the order in which the engine was asked. */
	events: string[];
}

/** What builds come to; the others are those of an older tracelab. */
export const results = { kernel: "4d".repeat(32), image: "3c".repeat(32), qemu: "5e".repeat(32) };

/** What steps print when they are applied, by script; the others print nothing. */
const printed: Readonly<Record<string, Record<string, string>>> = {
	"debug-kernel": { result: results.kernel, release: "6.1.192", buildId: "8f3c1de0a7c64b1f99d1b51d7e0b6a83f2f9a3c1" },
	"gdb-port": { port: "1234" },
	"guest-image": { result: results.image },
	"hypervisor-facts": { signature: "TCGTCGTCGTCG" },
	"libvirt-host": { uri: "qemu:///system" },
	"qemu-build": { result: results.qemu, version: "7.2.22" },
};

const knownTypes = [
	/^tracelab:lab:[A-Z][A-Za-z]+$/,
	/^command:local:Command$/,
	/^pulumi:providers:libvirt$/,
	/^libvirt:index\/pool:Pool$/,
	/^libvirt:index\/volume:Volume$/,
	/^libvirt:index\/domain:Domain$/,
];

/**
 * Runs `make` as a Pulumi program on an engine that takes notes. It knows the lab's components, its steps and their
 * probes, the host's facts, and libvirt's pool, volume and domain; all else is an error.
 *
 * Pulumi has one runtime a process, so the tests that call this are serial.
 */
export async function run<T>(options: RunOptions, make: () => T): Promise<Run<T>> {
	const { stack = "t", preview = false, facts, found = () => ({ drift: "", stamp: "" }) } = options;
	const { interpreter = ["bash", "-c"] } = options;
	const resources: Registered[] = [];
	const events: string[] = [];
	await pulumi.runtime.setMocks(
		{
			call: ({ token, inputs }) => {
				if (token !== "command:local:run") throw unexpected(`call of ${token}`);
				const { about, answer } = look(inputs, interpreter, facts);
				events.push(`look at ${about}`);
				return { stdout: JSON.stringify(answer ?? found(about)), stderr: "" };
			},
			newResource: ({ type, name, inputs }) => {
				if (!knownTypes.some((known) => known.test(type))) throw unexpected(`resource ${type} ${name}`);
				events.push(`make ${name}`);
				// What was never made has no id and has printed nothing.
				if (preview) return { id: undefined, state: inputs };
				return { id: `${name}-id`, state: { ...inputs, ...stdout(type, inputs) } };
			},
		},
		"tracelab",
		stack,
		preview,
	);
	takeNotes((request) => resources.push(registered(request)));
	try {
		const made = make();
		return { stack, made, resources, events };
	} finally {
		// Waits for all that the engine was asked for, and for what is asked because of an answer.
		await pulumi.runtime.disconnect();
		resources.sort((a, b) => (a.name < b.name ? -1 : 1));
	}
}

/** The one resource of that name. */
export function resource({ resources }: Run<unknown>, name: string): Registered {
	const [found, ...more] = resources.filter((entry) => entry.name === name);
	if (found === undefined) throw new Error(`no ${name} among ${resources.map((entry) => entry.name).join(", ")}`);
	if (more.length > 0) throw new Error(`${name} was registered ${more.length + 1} times`);
	return found;
}

/** All that was registered, as `TYPE NAME`, in order of the names. */
export function listed({ resources }: Run<unknown>): string[] {
	return resources.map(({ type, name }) => `${type} ${name}`);
}

/** The events without the looks ahead that were followed by one at the step's turn. */
export function inTurn({ events }: Run<unknown>): string[] {
	return events.filter((event, at) => !event.startsWith("look") || events.lastIndexOf(event) === at);
}

/** The value of an output that does not fail. */
export async function settled<T>(output: pulumi.Output<T>): Promise<T> {
	const { value } = await pulumi.runtime.serializeProperties("test", { value: output });
	return value;
}

/** What an output failed with; undefined where it did not. */
export async function failure(output: pulumi.Output<unknown>): Promise<unknown> {
	let failed: unknown;
	const recovered = pulumi.recover(output, (error: unknown) => {
		failed = error;
		return "";
	});
	await settled(recovered);
	return failed;
}

function look(
	inputs: Record<string, unknown>,
	through: readonly string[],
	facts: HostFacts | undefined,
): { about: string; answer?: unknown } {
	const { command, stdin, interpreter, ...others } = inputs;
	const shown = JSON.stringify(inputs).slice(0, 200);
	if (JSON.stringify(others) !== '{"logging":"none"}') throw unexpected(`command: ${shown}`);
	if (command === "bash -s -- probe" && JSON.stringify(interpreter) === JSON.stringify(through)) {
		return { about: probedStep(String(stdin)) };
	}
	if (command !== "bash -s" || !String(stdin).endsWith(`\n${scriptText("host-facts")}`))
		throw unexpected(`command: ${shown}`);
	if (facts === undefined) throw unexpected("look at the host: the test says nothing of one");
	return { about: "the host", answer: facts };
}

function stdout(type: string, inputs: Record<string, unknown>): { stdout?: string } {
	if (type !== "command:local:Command") return {};
	return { stdout: JSON.stringify(printed[scriptOf(String(inputs["stdin"]))] ?? {}) };
}

/** Pulumi's mocks do not tell a resource's options: this reads the whole requests on their way to them. */
function takeNotes(note: (request: RegisterResourceRequest) => void): void {
	const engine = pulumi.runtime.getMonitor();
	if (engine === undefined) throw new Error("there are no mocks");
	const { registerResource } = engine;
	Object.assign(engine, {
		registerResource: (request: RegisterResourceRequest, ...callback: unknown[]) => {
			note(request);
			return Reflect.apply(registerResource, engine, [request, ...callback]);
		},
	});
}

function registered(request: RegisterResourceRequest): Registered {
	const inputs = request.getObject();
	return {
		type: request.getType(),
		name: request.getName(),
		inputs: inputs === undefined ? {} : pulumi.runtime.deserializeProperties(inputs, true),
		parent: nameIn(request.getParent()),
		dependsOn: request.getDependenciesList().map(nameIn).sort(),
		// A provider's reference is URN::ID.
		provider: nameIn(request.getProvider().replace(/::[^:]*$/, "")),
		deleteBeforeReplace: request.getDeletebeforereplace(),
		ignoreChanges: request.getIgnorechangesList(),
		replaceOnChanges: request.getReplaceonchangesList(),
	};
}

function nameIn(urn: string): string {
	return urn.split("::").at(-1) ?? "";
}
