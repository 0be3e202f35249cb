import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { copy, host, lab, stack } from "./proof.ts";

const file = `stacks/${stack}.yaml`;
const elsewhere = join(copy.folder, "elsewhere");

/** Ups with the module from another source, whose code adds `factor` times the number. */
async function runsFrom(t: ExecutionContext, source: string, factor: number): Promise<void> {
	const before = readFileSync(join(copy.folder, file), "utf8");
	copy.write(file, `${before}modules: { mymodule: { source: ${source} } }\n`);
	t.teardown(() => copy.write(file, before));
	const { code, all } = await lab("up");
	t.is(code, 0, all);
	const ran = await lab("exec", "vm", "--", "sh", "-c", "echo 10 >/proc/mymodule; cat /proc/mymodule");
	t.is(ran.stdout, String(10 * factor));
}

/** A copy of the example whose code adds `factor` times the number. */
function example(factor: number): void {
	host(`rm -rf ${elsewhere}; cp -r ${copy.folder}/examples/mymodule ${elsewhere}`);
	host(`sed -i 's/sum += .*number;/sum += ${factor} * number;/' ${elsewhere}/mymodule.c`);
}

test("a module from a tag of a git repository", async (t) => {
	example(5);
	host(
		`cd ${elsewhere} && git init -q && git add . && git -c user.name=t -c user.email=t@localhost commit -qm one && git tag v1`,
	);
	// What comes after the tag is not asked for.
	host(`cd ${elsewhere} && sed -i 's/5 \\* number/6 * number/' mymodule.c`);
	await runsFrom(t, `"git:file://${elsewhere}#v1"`, 5);
});

test("a module from a tarball, with its checksum", async (t) => {
	example(7);
	const tarball = join(copy.folder, "mymodule.tar.gz");
	host(`tar -C ${copy.folder} -czf ${tarball} elsewhere`);
	const server = createServer((_, response) => response.end(readFileSync(tarball)));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	t.teardown(() => server.close());
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mymodule.tar.gz`;
	await runsFrom(t, `{ url: "${url}", sha256: ${host(`sha256sum <${tarball}`).split(" ")[0]} }`, 7);
});

test("a module from a person's own working tree, which is never written to", async (t) => {
	example(8);
	host(`echo mine >${elsewhere}/notes`);
	const look = `cd ${elsewhere} && find . -printf '%p %m %T@ %s\\n' | sort | sha256sum`;
	const before = host(look);
	await runsFrom(t, `"path:${elsewhere}"`, 8);
	t.is(host(look), before);
});
