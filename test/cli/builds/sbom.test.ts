import { existsSync, mkdirSync, readdirSync, utimesSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { execa } from "execa";
import { card, ScratchLab } from "../scratch-lab.ts";

const tools = ["mke2fs", "debugfs", "qemu-img"];
const missing = tools.filter((name) =>
	`${process.env["PATH"]}:/usr/sbin`.split(":").every((folder) => !existsSync(join(folder, name))),
);
const withTools = missing.length === 0 ? test.serial : test.serial.skip;
const why = missing.length === 0 ? "" : ` (skipped: no ${missing.join(", ")})`;

const status = "Package: dpkg\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.21.22\n";

/** A lab with an image that has dpkg's status, or none; and a pipx that says what it was asked, and what of. */
async function there(t: ExecutionContext, text = status): Promise<ScratchLab> {
	const lab = await ScratchLab.for(t);
	lab.up();
	lab.fake(
		"pipx",
		`echo "$PYTHONHASHSEED $*" >"$root/asked"; while [ "$1" != --root ]; do shift; done
		cp "$2/var/lib/dpkg/status" "$root/status"; find "$2" -type f >"$root/files"
		echo '{"packages": [{}, {}]}'`,
	);
	const tree = join(lab.root, "tree");
	mkdirSync(join(tree, "var/lib/dpkg"), { recursive: true });
	if (text !== "") utimesSync(lab.write("tree/var/lib/dpkg/status", text), 0, 1_700_000_000);
	const env = { PATH: `${process.env["PATH"]}:/usr/sbin` };
	const raw = join(lab.root, "raw");
	const prefix = card.images["main"]?.prefix;
	mkdirSync(`${lab.root}${prefix}`, { recursive: true });
	await execa("mke2fs", ["-q", "-t", "ext4", "-d", tree, raw, "4M"], { env });
	await execa("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", raw, `${lab.root}${prefix}/image.qcow2`], { env });
	lab.env["TMPDIR"] = join(lab.root, "tmp");
	mkdirSync(join(lab.root, "tmp"));
	return lab;
}

withTools(`the bill of an image is made from dpkg's status in it, and nothing of that stays${why}`, async (t) => {
	const lab = await there(t);
	const file = join(lab.root, "bill.json");
	const { code, stdout, stderr } = await lab.lab(["sbom", "-o", file]);
	t.deepEqual(
		{ code, stdout, stderr },
		{ code: 0, stdout: `${file}: 1 packages, with those of their sources, 22 B`, stderr: "" },
	);
	t.is(lab.read("bill.json"), '{"packages": [{}, {}]}\n');
	t.is(lab.read("status"), status);
	t.is(lab.read("files").trim().split("\n").length, 1);
	const result = card.hashes.builds["image-main"];
	t.is(
		lab.read("asked").replace(/--root \S+/, "--root ROOT"),
		`0 run --spec debsbom[spdx]==0.10.2 debsbom generate --sbom-type spdx --validate --root ROOT --distro-name image-main --distro-version ${result} --spdx-namespace urn:tracelab:image:${result} --timestamp 2023-11-14T22:13:20Z --out -\n`,
	);
	t.deepEqual(readdirSync(join(lab.root, "tmp")), []);
});

withTools(`an image without dpkg's status has no bill${why}`, async (t) => {
	const lab = await there(t, "");
	const { code, stderr } = await lab.lab(["sbom", "-o", join(lab.root, "bill.json")]);
	t.is(code, 1);
	t.regex(stderr, /^lab: \S+\/image\.qcow2 has no \/var\/lib\/dpkg\/status\n/);
	t.false(existsSync(join(lab.root, "bill.json")));
});

withTools(`what the tool says against it is shown${why}`, async (t) => {
	const lab = await there(t);
	lab.fake("pipx", "echo 'no such package: debsbom' >&2; exit 3");
	const { code, stderr } = await lab.lab(["sbom"]);
	t.is(code, 1);
	t.regex(stderr, /^lab: pipx ended with 3: run --spec .*\nno such package: debsbom$/);
});

test.serial("an image that the lab has not is an error that says which it has", async (t) => {
	const lab = await ScratchLab.for(t);
	lab.up({ ...card, images: { main: { prefix: "/i" }, other: { prefix: "/o" } } });
	const said = async (...args: string[]) => (await lab.lab(["sbom", ...args])).stderr;
	t.is(await said(), "lab: which image?\n  what to do: its images: main, other");
	t.is(
		await said("othr"),
		'lab: the lab has no image "othr" (did you mean "other"?)\n  what to do: its images: main, other',
	);
});
