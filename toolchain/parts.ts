/** What `pulumi up` of a lab runs on, and the three places that each part can come from. */
export interface Part {
	/** As progress and errors name it. */
	readonly name: string;
	readonly version: string;
	/** Where it belongs below the project's `.pulumi` folder, which is PULUMI_HOME. */
	readonly path: string;
	/** An official release; absent where another part fetches this one by itself when the network allows. */
	readonly release?: Release;
	readonly module: GoModule;
}

export interface Release {
	/** The folder that holds the archive and its checksums. */
	readonly folder: string;
	readonly archive: string;
	/** A text of `sha256  file` lines. */
	readonly checksums: string;
	/** The program inside the archive. */
	readonly member: string;
}

export interface GoModule {
	/** Below toolchain/: holds the go.mod and go.sum that pin everything. */
	readonly folder: string;
	/** The main package; one that starts with ./ is ours and its sources count for the build's identity. */
	readonly package: string;
	/** Linker variables, NAME=VALUE. */
	readonly set: readonly string[];
}

export const pulumiVersion = "3.259.0";

const pulumiRelease: Omit<Release, "member"> = {
	folder: `https://github.com/pulumi/pulumi/releases/download/v${pulumiVersion}`,
	archive: `pulumi-v${pulumiVersion}-linux-x64.tar.gz`,
	checksums: `pulumi-${pulumiVersion}-checksums.txt`,
};

// The SDK's own version variable; without it the CLI and the host call themselves 3.x-dev and plugins object.
const sdkVersion = `github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${pulumiVersion}`;

function pluginRelease(repository: string, name: string, version: string): Release {
	const program = `pulumi-resource-${name}`;
	return {
		folder: `https://github.com/pulumi/${repository}/releases/download/v${version}`,
		archive: `${program}-v${version}-linux-amd64.tar.gz`,
		checksums: `${repository}_${version}_checksums.txt`,
		member: program,
	};
}

export const cli: Part = {
	name: "Pulumi CLI",
	version: pulumiVersion,
	path: "bin/pulumi",
	release: { ...pulumiRelease, member: "pulumi/pulumi" },
	module: { folder: "pulumi", package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi", set: [sdkVersion] },
};

export const languageHost: Part = {
	name: "Node.js language host",
	version: pulumiVersion,
	path: "bin/pulumi-language-nodejs",
	release: { ...pulumiRelease, member: "pulumi/pulumi-language-nodejs" },
	module: { folder: "pulumi", package: "./pulumi-language-nodejs", set: [sdkVersion] },
};

export const commandProvider: Part = {
	name: "command provider",
	version: "1.2.1",
	path: "plugins/resource-command-v1.2.1/pulumi-resource-command",
	release: pluginRelease("pulumi-command", "command", "1.2.1"),
	module: { folder: "pulumi", package: "./pulumi-resource-command", set: [sdkVersion] },
};

export const terraformBridge: Part = {
	name: "Terraform bridge",
	version: "1.1.3",
	path: "plugins/resource-terraform-provider-v1.1.3/pulumi-resource-terraform-provider",
	release: pluginRelease("pulumi-terraform-provider", "terraform-provider", "1.1.3"),
	module: {
		folder: "bridge",
		package: "github.com/pulumi/pulumi-terraform-bridge/v3/dynamic",
		set: [
			// Two of its libraries register the same protobuf file; the official build says ignore, too.
			"google.golang.org/protobuf/reflect/protoregistry.conflictPolicy=ignore",
			"github.com/pulumi/pulumi-terraform-bridge/v3/dynamic/version.version=v1.1.3",
		],
	},
};

/** The bridge looks here before it asks a Terraform registry, and downloads to here when it asked one. */
export const libvirtProvider: Part = {
	name: "libvirt provider",
	version: "0.8.3",
	path: "dynamic_tf_plugins/registry.opentofu.org/dmacvicar/libvirt/0.8.3/linux_amd64/terraform-provider-libvirt_v0.8.3",
	module: { folder: "libvirt-provider", package: "github.com/dmacvicar/terraform-provider-libvirt", set: [] },
};

export const parts: readonly Part[] = [cli, languageHost, commandProvider, terraformBridge, libvirtProvider];
