import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { project } from "../../cli/host.ts";
import { optionValue } from "../../spec/hypervisor.ts";
import { copy, domainCard, host, hostile } from "./proof.ts";

// One lab with hostile text wherever its stack file may have it. What is refused is in test/components/hostile-text.test.ts.

/** The file that a shell would make that read one of the texts. */
const canary = "tracelab-hostile-canary";
const commands = `$(touch ${canary}); touch ${canary} & \`touch ${canary}\``;
const odd = `-rf ${commands} '"<é漢>%s\\{x}`;
// Neither has room for more than 64 characters.
const vendor = `$(touch ${canary}),id=x '"<&>{%s}`;
const product = `-rf;\`touch ${canary}\`|\\,,]]>$1`;
const kernelArguments = [
	`canary.a=$(touch\${IFS}${canary})`,
	`canary.b="${commands} '\\x"`,
	`-canary.c=\`touch\${IFS}${canary}\`;'<&>{x}{{%s\\$1`,
];

/** In the environment of the up, and to be nowhere else. */
const secret = "hush-5f1c9a-b7e2";
// Nothing is fetched: what listens on that port is nobody.
const environment = [
	...["http_proxy", "https_proxy"].map((name) => `${name}=http://me:${secret}@127.0.0.1:9`),
	"no_proxy=127.0.0.1,localhost",
	`PULUMI_CONFIG_PASSPHRASE=${secret}`,
].join(" ");

const lab = (command: string) => copy.bash(`env ${environment} ./lab -s ${hostile} ${command}`);

/** The examples, as no other test has edited them, under names of their own: a module in a folder of that name, and a script. */
function writeExamples(): void {
	const examples = join(project, "examples");
	const folder = join(copy.folder, "examples", odd);
	cpSync(join(examples, "mymodule"), folder, { recursive: true });
	renameSync(join(folder, "mymodule.c"), join(folder, "hostile.c"));
	for (const file of ["hostile.c", "Kbuild"]) {
		const path = join(folder, file);
		writeFileSync(path, readFileSync(path, "utf8").replaceAll("mymodule", "hostile"));
	}
	mkdirSync(join(copy.folder, "probes"));
	cpSync(join(examples, "mymodule.stp"), join(copy.folder, "probes", `${odd}.stp`));
}

/** The text of an element or an attribute. */
const plain = (xml: string): string =>
	xml
		.replaceAll("&lt;", "<")
		.replaceAll("&gt;", ">")
		.replaceAll("&quot;", '"')
		.replaceAll("&apos;", "'")
		.replaceAll("&amp;", "&");

/** What a command in the guest prints. */
async function inside(script: string): Promise<string> {
	const { code, stdout, all } = await copy.lab("-s", hostile, "exec", "vm", "--", "sh", "-c", script);
	if (code !== 0) throw new Error(all);
	return stdout;
}

test("hostile text is in the guest and in libvirt as it is written, and nothing of it was run; secrets of the environment are written nowhere", async (t) => {
	t.timeout(1_200_000);
	writeExamples();
	const file = {
		extends: "quickstart",
		description: `${commands}\n'"<&>é漢%s\n\t-rf`,
		modules: { hostile: { source: `path:examples/${odd}`, kernel: "main" } },
		domains: {
			vm: {
				processName: hostile,
				memory: 512,
				modules: ["hostile", "lttng", "mymodule"],
				kernelArguments,
				hypervisor: { dmiVendor: vendor, dmiProduct: product },
				expect: { dmiVendor: vendor, dmiProduct: product },
			},
		},
		probes: { hostile: { script: `probes/${odd}.stp`, domain: "vm" } },
	};
	// JSON is YAML.
	copy.write(`stacks/${hostile}.yaml`, JSON.stringify(file, undefined, "\t"));
	const said: string[] = [];
	try {
		const up = await lab("up");
		said.push(up.all);
		t.is(up.code, 0, up.all);
		const again = await lab("preview -- --expect-no-changes");
		said.push(again.all);
		t.is(again.code, 0, again.all);

		const { commandLine } = domainCard("vm", hostile);
		t.true(commandLine.endsWith(` ${kernelArguments.join(" ")}`), commandLine);
		t.is(await inside("cat /proc/cmdline"), commandLine);
		t.is(await inside("cat /sys/class/dmi/id/sys_vendor"), vendor);
		t.is(await inside("cat /sys/class/dmi/id/product_name"), product);
		t.is(await inside("echo 40 >/proc/hostile; echo 2 >/proc/hostile; cat /proc/hostile"), "42");
		const xml = host(`virsh -c qemu:///system dumpxml ${hostile}-vm`);
		t.is(plain(/<cmdline>(.*)<\/cmdline>/.exec(xml)?.[1] ?? ""), commandLine);
		const options = [...xml.matchAll(/<qemu:arg value=(?:'([^']*)'|"([^"]*)")\/>/g)];
		const smbios = `type=1,manufacturer=${optionValue(vendor)},product=${optionValue(product)}`;
		t.true(options.map(([, one, other]) => plain(one ?? other ?? "")).includes(smbios), xml);
		const verified = await lab("verify");
		said.push(verified.all);
		t.is(verified.code, 0, verified.all);
		t.regex(verified.all, /stap_hostile\.ko for build-id /);

		const places = ["/", "/tmp", "/run", "/dev/shm", "/opt/tracelab", "/var/lib/tracelab", copy.folder];
		t.is(host(`find ${places.join(" ")} -xdev -name ${canary} || :`), "");
		t.is(await inside(`find / /run /tmp -xdev -name ${canary}`), "");

		const own = [".state", "stacks", ".pulumi/logs", ".pulumi/workspaces"].map((name) => `${copy.folder}/${name}`);
		const written = [...own, ...["/var/lib", "/var/log", "/run"].map((place) => `${place}/tracelab`)];
		const libvirts = ["/etc/libvirt", "/run/libvirt", "/var/lib/libvirt", "/var/log/libvirt"];
		const built = host(`cat /var/lib/tracelab/labs/${hostile}.json`).match(
			/\/opt\/tracelab\/(?:module|probe)\/\w{16}/g,
		);
		t.true((built ?? []).length > 1);
		const folders = [...written, ...libvirts, ...new Set(built), "/var/cache/tracelab/durations"];
		t.is(host(`grep -rlsF -D skip ${secret} ${folders.join(" ")} || :`), "");
		// The state is there, and it is this stack's.
		t.not(host(`grep -rlsF ${hostile}-vm ${copy.folder}/.state || :`), "");
		t.false(said.join("").includes(secret));
	} finally {
		const { code, all } = await lab("destroy --yes");
		t.is(code, 0, all);
		t.false(all.includes(secret));
	}
});
