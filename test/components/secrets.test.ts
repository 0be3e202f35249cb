import test from "ava";
import { loadStack } from "../../spec/load-stack.ts";
import { CommandProvider, commandProviders } from "../toolchain/command-provider.ts";
import { resource, settled } from "./mocks.ts";
import { runLab } from "./run-lab.ts";

// What Pulumi keeps in its state is what resources are registered with, and what the provider says of them.

const canary = "hush-5f1c9a";
const proxy = `http://me:${canary}@127.0.0.1:9`;
const secrets = { http_proxy: proxy, https_proxy: proxy, ALL_PROXY: proxy, PULUMI_CONFIG_PASSPHRASE: canary };

test.serial("a proxy's password and a passphrase are in no input of a resource, and not in the lab card", async (t) => {
	const before = Object.keys(secrets).map((name) => [name, process.env[name]] as const);
	Object.assign(process.env, secrets);
	t.teardown(() => {
		for (const [name, value] of before) {
			if (value === undefined) delete process.env[name];
			else process.env[name] = value;
		}
	});
	const { resources, made } = await runLab(loadStack("probes"));
	t.true(resources.length > 20);
	t.false(JSON.stringify(resources).includes(canary));
	t.false(JSON.stringify(await settled(made.card)).includes(canary));
});

for (const subject of commandProviders()) {
	test(`${subject.name}: its own environment is not in the state, and not in an error`, async (t) => {
		const provider = await CommandProvider.start(t, subject, secrets);
		const { state } = await provider.create({ create: 'test "$https_proxy" = "$http_proxy"; echo "${#http_proxy}"' });
		// It did have it.
		t.is(state["stdout"], String(proxy.length));
		t.false(JSON.stringify(state).includes(canary));
		const { message } = await t.throwsAsync(provider.create({ create: "echo no >&2; exit 3" }));
		t.is(message, 'exit status 3: running "echo no >&2; exit 3":\nno\n');
	});
}

// docs/stack-files.md says so: an address is kept as it is written.
test.serial("a token in the query of an address is in the step that fetches it, and not in the lab card", async (t) => {
	const stack = loadStack("quickstart");
	const url = `https://localhost/linux.tar.xz?token=${canary}`;
	const main = { ...stack.kernels["main"], source: { kind: "tarball", url, sha256: "0".repeat(64) } as const };
	const run = await runLab({ ...stack, kernels: { main: { fragments: [], config: [], ...main } } });
	const holders = run.resources.filter((one) => JSON.stringify(one).includes(canary)).map(({ name }) => name);
	t.deepEqual(holders, ["kernel-main-build"]);
	t.true(String(resource(run, "kernel-main-build").inputs["stdin"]).includes(`['url']='${url}'`));
	t.false(JSON.stringify(await settled(run.made.card)).includes(canary));
});
