import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import test from "ava";
import { bundled, copy, host, stack } from "./proof.ts";

const cache = "/var/cache/tracelab";
const parts = ["sources", "apt-image", "apt-sources"];

/** A module of that name in a folder of the project's copy. */
function example(folder: string, name: string): void {
	host(`cp -r ${copy.folder}/examples/mymodule ${copy.folder}/${folder}; cd ${copy.folder}/${folder}
		mv mymodule.c ${name}.c; sed -i s/mymodule/${name}/g ${name}.c Kbuild`);
}

// QEMU and the kernel are the proof's own; the image and the modules are this stack's.
test("a lab comes up from a bundle in a network namespace with nothing in it, and from a store, as its lock says", async (t) => {
	t.timeout(1_200_000);
	const lock = `${copy.folder}/stacks/${bundled}.lock.yaml`;
	const repository = `${copy.folder}/repository`;
	const file = `${copy.folder}/lab.tar`;
	const store = `${copy.folder}/store`;
	const own = ["image-main", "module-bundled", "module-fetched"];
	const lab = (...args: string[]) => copy.lab("-s", bundled, ...args);
	example("examples/bundled", "bundled");
	example("repository", "fetched");
	host(`cd ${repository}; git init -q -b main; git add .; git -c user.name=t -c user.email=t@localhost commit -qm one`);
	copy.write(
		`stacks/${bundled}.yaml`,
		[
			"extends: quickstart",
			"images: { main: { packages: [hostname] } }",
			"modules:",
			"  bundled: { source: path:examples/bundled, kernel: main }",
			`  fetched: { source: "git:file://${repository}#main", kernel: main }`,
			"domains: { vm: { processName: bundled-vm, modules: [bundled, fetched] } }",
			"",
		].join("\n"),
	);
	const ran = async (...args: string[]) => {
		const { code, all } = await lab(...args);
		t.is(code, 0, all);
		return all;
	};
	await ran("up");
	await ran("lock");
	// What the cache had of another machine's making is made of this one's tools, as it will be below.
	await ran("lock", "--update", ...own);
	await ran("up");
	await ran("lock");
	await ran("bundle", file);
	await ran("push", store, ...own);
	await ran("destroy", "--yes");

	// What the proof uses as well is no cache's.
	const builds = [...readFileSync(lock, "utf8").matchAll(/build: (\w+\/[0-9a-f]{16})/g)]
		.map(([, build]) => `${cache}/builds/${build}`)
		.filter(existsSync);
	t.is(builds.length, own.length);
	const without = () => {
		for (const folder of builds) rmSync(folder, { recursive: true });
	};
	without();
	const aside = `${cache}.proof-aside`;
	mkdirSync(aside);
	for (const part of parts) if (existsSync(`${cache}/${part}`)) renameSync(`${cache}/${part}`, `${aside}/${part}`);
	t.teardown(() => {
		for (const part of parts) {
			rmSync(`${cache}/${part}`, { recursive: true, force: true });
			if (existsSync(`${aside}/${part}`)) renameSync(`${aside}/${part}`, `${cache}/${part}`);
		}
		rmSync(aside, { recursive: true });
	});
	for (const path of [lock, repository, `${copy.folder}/examples/bundled`, `${copy.folder}/stacks/${bundled}.yaml`])
		rmSync(path, { recursive: true });

	const opened = await copy.lab("unbundle", file);
	t.is(opened.code, 0, opened.all);
	// Pulumi's parts talk to each other over the loopback; libvirtd starts QEMU where it is itself.
	const stopped = "pkill -x libvirtd; while pgrep -x -r R,S,D libvirtd; do sleep 0.1; done";
	const up = await copy.bash(`${stopped}; unshare --net sh -ec 'ip link set lo up; exec ./lab -s ${bundled} up'`);
	t.is(up.code, 0, up.all);
	const things = ["the guest image", "module bundled", "module fetched"];
	for (const thing of things) t.true(up.all.includes(`${thing} built in`), up.all);
	t.false(existsSync(`${cache}/apt-sources`));
	const agreed = await lab("lock");
	t.is(agreed.stdout.trim(), `stacks/${bundled}.lock.yaml is there, and the lab is as it says`, agreed.all);
	await ran("destroy", "--yes");
	// What starts QEMU next is not in that namespace any more.
	host(stopped);

	without();
	const pulled = await ran("pull", store);
	t.deepEqual(builds.filter(existsSync), builds, pulled);
	const taken = await ran("up");
	for (const thing of things) t.true(taken.includes(`${thing} taken from the cache`), taken);
	await ran("destroy", "--yes");
	t.is((await copy.lab("-s", stack, "up")).code, 0);
});
