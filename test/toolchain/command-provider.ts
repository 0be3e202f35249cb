import grpc from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb.js";
import messages from "@pulumi/pulumi/proto/provider_pb.js";
import type { ExecutionContext } from "ava";
import empty from "google-protobuf/google/protobuf/empty_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { answer, FakeEngine, Plugin, pluginFolders, type Subject, subjects } from "./plugin.ts";
import { turn } from "./turn.ts";

export type Properties = Record<string, struct.JavaScriptValue>;

/** How a value says on the wire that it is a secret, an asset, or not known yet. */
export const signature = "4dabf18193072939515e22adb298388d";
export const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
export const assetSignature = "c44067f5952c0a294b673a41bacd8c17";
export const archiveSignature = "0def7320c3a5731c473e5ecbe6d01bc7";
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

export function secret(value: struct.JavaScriptValue): Properties {
	return { [signature]: secretSignature, value };
}

export function commandProviders(): Subject[] {
	return subjects(
		"command provider",
		"plugins/resource-command-v1.2.1/pulumi-resource-command",
		"TRACELAB_OFFICIAL_COMMAND_PLUGIN",
		pluginFolders("resource-command-v1.2"),
		"pulumi-resource-command",
	);
}

export const urn = "urn:pulumi:stack::project::command:local:Command::greet";

/** The command provider's client, in plain values. */
export class CommandProvider {
	readonly engine: FakeEngine;
	readonly plugin: Plugin;
	readonly client: ResourceProviderClient;

	constructor(engine: FakeEngine, plugin: Plugin) {
		this.engine = engine;
		this.plugin = plugin;
		this.client = new ResourceProviderClient(plugin.address, grpc.credentials.createInsecure());
	}

	/** One for this test alone, configured as the engine does it. */
	static async start(t: ExecutionContext, subject: Subject, env: NodeJS.ProcessEnv = {}): Promise<CommandProvider> {
		t.teardown(await turn());
		// A busy machine is no fault of the plugin.
		t.timeout(120_000);
		const engine = await new FakeEngine().start();
		const plugin = await Plugin.start(subject.program, engine, { env: { ...process.env, ...env } });
		const provider = new CommandProvider(engine, plugin);
		t.teardown(async () => {
			provider.client.close();
			await plugin.stop();
			engine.server.forceShutdown();
		});
		const request = new messages.ConfigureRequest().setAcceptsecrets(true).setAcceptresources(true);
		await answer<messages.ConfigureResponse>((done) =>
			provider.client.configure(request.setArgs(properties({ version: "1.2.1" })), done),
		);
		return provider;
	}

	async checkConfig(news: Properties) {
		const request = new messages.CheckRequest().setUrn("urn:pulumi:s::p::pulumi:providers:command::default");
		return checked(
			await answer<messages.CheckResponse>((done) =>
				this.client.checkConfig(request.setOlds(properties({})).setNews(properties(news)), done),
			),
		);
	}

	async check(news: Properties) {
		const request = new messages.CheckRequest().setUrn(urn).setNews(properties(news)).setOlds(properties({}));
		return checked(await answer<messages.CheckResponse>((done) => this.client.check(request, done)));
	}

	/** Which properties changed and how, and whether the whole is a change. */
	async diff(before: Properties, after: Properties) {
		const request = new messages.DiffRequest()
			.setId("greet0")
			.setUrn(urn)
			.setOlds(properties({ ...before, stdout: "", stderr: "" }))
			.setOldInputs(properties(before))
			.setNews(properties(after));
		const response = await answer<messages.DiffResponse>((done) => this.client.diff(request, done));
		const kinds = Object.entries(messages.PropertyDiff.Kind);
		const detail = response
			.getDetaileddiffMap()
			.getEntryList()
			.map(([key]) => {
				const kind = response.getDetaileddiffMap().get(key)?.getKind();
				return [key, kinds.find(([, value]) => value === kind)?.[0]] as const;
			});
		return {
			changes: response.getChanges() === messages.DiffResponse.DiffChanges.DIFF_SOME,
			deleteBeforeReplace: response.getDeletebeforereplace(),
			detail: Object.fromEntries(detail),
		};
	}

	async create(inputs: Properties, preview = false): Promise<{ id: string; state: Properties }> {
		const request = new messages.CreateRequest()
			.setUrn(urn)
			.setName("greet")
			.setType("command:local:Command")
			.setPreview(preview)
			.setProperties(properties(inputs));
		const response = await answer<messages.CreateResponse>((done) => this.client.create(request, done));
		return { id: response.getId(), state: plain(response.getProperties()) };
	}

	async update(state: Properties, inputs: Properties, preview = false): Promise<Properties> {
		const request = new messages.UpdateRequest()
			.setId("greet0")
			.setUrn(urn)
			.setPreview(preview)
			.setOlds(properties(state))
			.setNews(properties(inputs));
		const response = await answer<messages.UpdateResponse>((done) => this.client.update(request, done));
		return plain(response.getProperties());
	}

	async delete(state: Properties): Promise<void> {
		const request = new messages.DeleteRequest().setId("greet0").setUrn(urn).setProperties(properties(state));
		await answer<empty.Empty>((done) => this.client.delete(request, done));
	}

	async invoke(token: string, args: Properties) {
		const request = new messages.InvokeRequest().setTok(token).setArgs(properties(args));
		const response = await answer<messages.InvokeResponse>((done) => this.client.invoke(request, done));
		return { result: plain(response.getReturn()), failures: failures(response.getFailuresList()) };
	}

	async schema(): Promise<{ name: string; version: string; resources: string[]; functions: string[] }> {
		const request = new messages.GetSchemaRequest();
		const text = (await answer<messages.GetSchemaResponse>((done) => this.client.getSchema(request, done))).getSchema();
		const { name, version, resources, functions } = JSON.parse(text);
		return { name, version, resources: Object.keys(resources), functions: Object.keys(functions) };
	}

	async version(): Promise<string> {
		const { getPluginInfo } = this.client;
		const ask = getPluginInfo.bind(this.client);
		return (await answer<{ getVersion(): string }>((done) => ask(new empty.Empty(), done))).getVersion();
	}

	async cancel(): Promise<void> {
		await answer<empty.Empty>((done) => this.client.cancel(new empty.Empty(), done));
	}
}

function properties(value: Properties): struct.Struct {
	return struct.Struct.fromJavaScript(value);
}

function plain(value: struct.Struct | undefined): Properties {
	return value?.toJavaScript() ?? {};
}

function checked(response: messages.CheckResponse) {
	return { inputs: plain(response.getInputs()), failures: failures(response.getFailuresList()) };
}

function failures(list: readonly messages.CheckFailure[]): string[] {
	return list.map((failure) => `${failure.getProperty()}: ${failure.getReason()}`);
}
