import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { parse } from "yaml";
import {
	cli,
	commandProvider,
	languageHost,
	libvirtProvider,
	parts,
	pulumiVersion,
	terraformBridge,
} from "../../toolchain/parts.ts";

const project = join(import.meta.dirname, "../..");

interface Manifest {
	readonly version: string;
	readonly dependencies: Readonly<Record<string, string>>;
	readonly pulumi: object;
}

function json(path: string): Manifest {
	return JSON.parse(readFileSync(join(project, path), "utf8"));
}

/** The version that a go.mod pins a module to. */
function pinned(folder: string, module: string): string | undefined {
	const lines = readFileSync(join(project, "toolchain", folder, "go.mod"), "utf8").split("\n");
	const line = lines.map((text) => text.trim().replace(/^require /, "")).find((text) => text.startsWith(`${module} v`));
	return line?.split(" ")[1];
}

test("every part has a place of its own below .pulumi and a name of its own", (t) => {
	t.is(new Set(parts.map((part) => part.path)).size, 5);
	t.is(new Set(parts.map((part) => part.name)).size, 5);
});

for (const { name, module } of parts) {
	test(`the ${name} has a pinned Go module`, (t) => {
		const folder = join(project, "toolchain", module.folder);
		t.true(existsSync(join(folder, "go.mod")));
		t.true(readFileSync(join(folder, "go.sum"), "utf8").length > 0);
		// What is not ours comes from a module that the go.mod names at one version, or from a package of one.
		if (module.package.startsWith("./")) t.true(existsSync(join(folder, module.package, "main.go")));
		else
			t.regex(
				readFileSync(join(folder, "go.mod"), "utf8"),
				new RegExp(`^module tracelab/toolchain/${module.folder}$`, "m"),
			);
	});
}

for (const { name, version, release } of parts) {
	if (release === undefined) continue;
	test(`the ${name}'s release is that of its version`, (t) => {
		t.regex(release.folder, new RegExp(`^https://github\\.com/pulumi/[a-z-]+/releases/download/v${version}$`));
		t.regex(release.archive, new RegExp(`-v${version}-linux-(x64|amd64)\\.tar\\.gz$`));
		t.true(release.checksums.includes(version));
	});
}

test("the CLI, the language host, their Go modules and the npm package are of one version", (t) => {
	const { dependencies } = json("package.json");
	t.is(dependencies["@pulumi/pulumi"], pulumiVersion);
	t.is(json("node_modules/@pulumi/pulumi/package.json").version, pulumiVersion);
	t.deepEqual([cli.version, languageHost.version], [pulumiVersion, pulumiVersion]);
	t.is(pinned("pulumi", "github.com/pulumi/pulumi/pkg/v3"), `v${pulumiVersion}`);
	t.is(pinned("pulumi", "github.com/pulumi/pulumi/sdk/v3"), `v${pulumiVersion}`);
	const set = `github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${pulumiVersion}`;
	for (const part of [cli, languageHost]) t.deepEqual(part.module.set, [set]);
});

test("the command provider, its npm package and what it says of itself are of one version", (t) => {
	const { version } = commandProvider;
	t.is(json("package.json").dependencies["@pulumi/command"], version);
	t.is(commandProvider.path, `plugins/resource-command-v${version}/pulumi-resource-command`);
	const source = readFileSync(join(project, "toolchain/pulumi/pulumi-resource-command/main.go"), "utf8");
	t.regex(source, new RegExp(`^const version = "${version}"$`, "m"));
});

test("the bridge and the libvirt provider are those of Pulumi.yaml and of the generated package", (t) => {
	const { packages }: { packages: Record<string, object> } = parse(readFileSync(join(project, "Pulumi.yaml"), "utf8"));
	t.deepEqual(packages, {
		libvirt: {
			source: "terraform-provider",
			version: terraformBridge.version,
			parameters: ["dmacvicar/libvirt", libvirtProvider.version],
		},
	});
	t.like(json("sdks/libvirt/package.json").pulumi, {
		name: "terraform-provider",
		version: terraformBridge.version,
		parameterization: { name: "libvirt", version: libvirtProvider.version },
	});
	t.true(terraformBridge.path.startsWith(`plugins/resource-terraform-provider-v${terraformBridge.version}/`));
	t.true(libvirtProvider.path.includes(`/dmacvicar/libvirt/${libvirtProvider.version}/linux_amd64/`));
	t.true(libvirtProvider.path.endsWith(`_v${libvirtProvider.version}`));
	t.is(pinned("libvirt-provider", "github.com/dmacvicar/terraform-provider-libvirt"), `v${libvirtProvider.version}`);
	t.true(terraformBridge.module.set.at(-1)?.endsWith(`version.version=v${terraformBridge.version}`));
});
