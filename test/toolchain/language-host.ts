import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import grpc from "@grpc/grpc-js";
import { LanguageRuntimeClient } from "@pulumi/pulumi/proto/language_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/language_pb.js";
import { ResourceMonitorService } from "@pulumi/pulumi/proto/resource_grpc_pb.js";
import resources from "@pulumi/pulumi/proto/resource_pb.js";
import type { ExecutionContext } from "ava";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { answer, FakeEngine, foldersOnPath, Plugin, type Subject, subjects } from "./plugin.ts";
import { turn } from "./turn.ts";

const project = join(import.meta.dirname, "../..");

export function languageHosts(): Subject[] {
	return subjects(
		"language host",
		"bin/pulumi-language-nodejs",
		"TRACELAB_OFFICIAL_LANGUAGE_HOST",
		foldersOnPath(),
		"pulumi-language-nodejs",
	);
}

/** A program's folder, with what is asked for below it; a null stands for a link to the project's own file. */
export function scratchProgram(t: ExecutionContext, files: Record<string, string | null>): string {
	const folder = realpathSync(mkdtempSync(join(tmpdir(), "tracelab-program-")));
	t.teardown(() => rmSync(folder, { recursive: true, force: true }));
	for (const [path, text] of Object.entries(files)) {
		mkdirSync(dirname(join(folder, path)), { recursive: true });
		if (text === null) symlinkSync(join(project, path), join(folder, path));
		else writeFileSync(join(folder, path), text, { mode: 0o755 });
	}
	return folder;
}

/** A program that @pulumi/pulumi can run: its text, and the package. */
export function runnable(t: ExecutionContext, text: string): string {
	const manifest = JSON.stringify({ name: "program", main: "index.js", type: "commonjs" });
	return scratchProgram(t, { "package.json": manifest, "index.js": text, "node_modules/@pulumi/pulumi": null });
}

export interface Run {
	readonly config?: Readonly<Record<string, string>>;
	readonly secretKeys?: string[];
	readonly options?: Record<string, string | boolean>;
	readonly dryRun?: boolean;
	readonly args?: string[];
}

/** The language host's client, in plain values, with as much of an engine as a program needs to run. */
export class LanguageHost {
	readonly engine: FakeEngine;
	readonly plugin: Plugin;
	readonly client: LanguageRuntimeClient;

	constructor(engine: FakeEngine, plugin: Plugin) {
		this.engine = engine;
		this.plugin = plugin;
		this.client = new LanguageRuntimeClient(plugin.address, grpc.credentials.createInsecure());
	}

	/** One for this test alone. `bin` comes first on its PATH. */
	static async start(t: ExecutionContext, subject: Subject, bin?: string): Promise<LanguageHost> {
		t.teardown(await turn());
		// A busy machine is no fault of the plugin.
		t.timeout(120_000);
		const engine = new FakeEngine();
		engine.server.addService(ResourceMonitorService, monitor);
		await engine.start();
		const path = [bin, dirname(process.execPath), process.env["PATH"]].filter((one) => one !== undefined);
		const env = { ...process.env, PATH: path.join(delimiter) };
		const host = new LanguageHost(engine, await Plugin.start(subject.program, engine, { env }));
		t.teardown(async () => {
			host.client.close();
			await host.plugin.stop();
			engine.server.forceShutdown();
		});
		return host;
	}

	async version(): Promise<string> {
		const ask = this.client.getPluginInfo.bind(this.client);
		return (await answer<{ getVersion(): string }>((done) => ask(new empty.Empty(), done))).getVersion();
	}

	async handshake(): Promise<void> {
		const request = new messages.LanguageHandshakeRequest().setEngineAddress(this.engine.address);
		await answer<messages.LanguageHandshakeResponse>((done) => this.client.handshake(request, done));
	}

	/** The packages' one-line descriptions, sorted, each once. */
	async requiredPackages(folder: string): Promise<string[]> {
		const request = new messages.GetRequiredPackagesRequest().setInfo(info(folder));
		const response = await answer<messages.GetRequiredPackagesResponse>((done) =>
			this.client.getRequiredPackages(request, done),
		);
		const lines = response.getPackagesList().map((one) => {
			const more = [one.getParameterization(), one.getExtension$()].map((parameter) =>
				parameter === undefined
					? ""
					: ` ${parameter.getName()}@${parameter.getVersion()}=${Buffer.from(parameter.getValue_asU8()).toString()}`,
			);
			return `${one.getKind()} ${one.getName()} ${one.getVersion()} ${one.getServer()}${more.join("")}`.trim();
		});
		return [...new Set(lines)].sort();
	}

	async programDependencies(folder: string, transitive: boolean): Promise<string[]> {
		const request = new messages.GetProgramDependenciesRequest().setInfo(info(folder));
		const response = await answer<messages.GetProgramDependenciesResponse>((done) =>
			this.client.getProgramDependencies(request.setTransitivedependencies(transitive), done),
		);
		return response.getDependenciesList().map((one) => `${one.getName()} ${one.getVersion()}`);
	}

	async run(folder: string, run: Run = {}): Promise<{ error: string; bail: boolean }> {
		const request = new messages.RunRequest()
			.setProject("proj")
			.setStack("stack")
			.setOrganization("org")
			.setParallel(7)
			.setMonitorAddress(this.engine.address)
			.setDryrun(run.dryRun ?? false)
			.setArgsList(run.args ?? [])
			.setConfigsecretkeysList(run.secretKeys ?? [])
			.setInfo(info(folder, { typescript: false, ...run.options }));
		for (const [key, value] of Object.entries(run.config ?? {})) request.getConfigMap().set(key, value);
		const response = await answer<messages.RunResponse>((done) => this.client.run(request, done));
		return { error: response.getError(), bail: response.getBail() };
	}

	/** What the package manager printed on its two streams. */
	async install(folder: string): Promise<{ stdout: string; stderr: string }> {
		const request = new messages.InstallDependenciesRequest().setInfo(info(folder));
		const printed = { stdout: "", stderr: "" };
		const stream = this.client.installDependencies(request);
		return new Promise((resolve, reject) => {
			stream.on("data", (part: messages.InstallDependenciesResponse) => {
				printed.stdout += Buffer.from(part.getStdout_asU8()).toString();
				printed.stderr += Buffer.from(part.getStderr_asU8()).toString();
			});
			stream.on("error", (error: grpc.ServiceError) => reject(new Error(error.details)));
			stream.on("end", () => resolve(printed));
		});
	}

	async generatePackage(directory: string, schema: object): Promise<void> {
		const request = new messages.GeneratePackageRequest()
			.setDirectory(directory)
			.setSchema(JSON.stringify(schema))
			.setLoaderTarget(this.engine.address);
		await answer<messages.GeneratePackageResponse>((done) => this.client.generatePackage(request, done));
	}

	async cancel(): Promise<void> {
		await answer<empty.Empty>((done) => this.client.cancel(new empty.Empty(), done));
	}
}

function info(folder: string, options: Record<string, string | boolean> = {}): messages.ProgramInfo {
	return new messages.ProgramInfo()
		.setRootDirectory(folder)
		.setProgramDirectory(folder)
		.setEntryPoint(".")
		.setOptions(struct.Struct.fromJavaScript(options));
}

/** A monitor that takes the program's stack as its only resource. */
const monitor = {
	supportsFeature: (_: unknown, done: grpc.sendUnaryData<resources.SupportsFeatureResponse>) =>
		done(null, new resources.SupportsFeatureResponse().setHassupport(true)),
	registerResource: (_: unknown, done: grpc.sendUnaryData<resources.RegisterResourceResponse>) =>
		done(null, new resources.RegisterResourceResponse().setUrn("urn:pulumi:stack::proj::pulumi:pulumi:Stack::s")),
	registerResourceOutputs: (_: unknown, done: grpc.sendUnaryData<empty.Empty>) => done(null, new empty.Empty()),
	signalAndWaitForShutdown: (_: unknown, done: grpc.sendUnaryData<empty.Empty>) => done(null, new empty.Empty()),
};
