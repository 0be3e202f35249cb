import { createHash, randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { execa } from "execa";
import { FaultyServer } from "./faulty-server.ts";

const sha256 = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

/** Package, version, and further lines of its control file. */
const packages: readonly (readonly [string, string, string])[] = [
	["linux-source-9.9", "9.9.1-1", ""],
	["base", "1:1-1", "Essential: yes\n"],
	["apt", "2.0", ""],
	["kmod", "30-1", ""],
];

/**
 * What archives are made of: packages of a few hundred kilobytes, and a key to sign their lists with. It is made once a test
 * file; mirrors are copies of it.
 */
export class DebianArchive {
	readonly #folder: string;

	private constructor(folder: string) {
		this.#folder = folder;
	}

	static async make(): Promise<DebianArchive> {
		const archive = new DebianArchive(mkdtempSync(join(tmpdir(), "tracelab-archive-")));
		await archive.#fill();
		return archive;
	}

	/** Ends the agent that gpg started, and removes all. */
	async remove(): Promise<void> {
		await this.#run("gpgconf", "--kill", "all");
		rmSync(this.#folder, { recursive: true, force: true });
	}

	async #fill(): Promise<void> {
		mkdirSync(join(this.#folder, "gnupg"), { mode: 0o700 });
		const key = ["--quick-generate-key", "Mirror <mirror@localhost>", "ed25519", "sign", "never"];
		await this.#run("gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", ...key);
		await this.#run("gpg", "--quiet", "--export", "--output", "keyring.gpg");
		mkdirSync(join(this.#folder, "debian/pool"), { recursive: true });
		for (const [name, version, more] of packages) await this.#deb(name, version, more);
		await this.#dsc();
		mkdirSync(join(this.#folder, "debian/lists"));
		for (const [file, scan] of Object.entries(lists)) {
			const { stdout } = await this.#run("env", "-C", "debian", scan, "pool");
			mkdirSync(join(this.#folder, "debian/dists/bookworm", file, ".."), { recursive: true });
			writeFileSync(join(this.#folder, "debian/dists/bookworm", file), `${stdout}\n`);
		}
	}

	/** A package with a tarball, as linux-source has it, and enough more that half of it can be on the way. */
	async #deb(name: string, version: string, more: string): Promise<void> {
		const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\n${more}Maintainer: M <m@localhost>\nDescription: one\n`;
		this.#write(`deb/${name}/DEBIAN/control`, control);
		this.#write(`deb/${name}/usr/share/noise`, randomBytes(200_000));
		this.#write("thing-1/Makefile", "all:\n");
		mkdirSync(join(this.#folder, `deb/${name}/usr/src`));
		await this.#run("tar", "-cJf", `deb/${name}/usr/src/thing.tar.xz`, "thing-1");
		const file = `${name}_${version.replace(/^\d+:/, "")}_all.deb`;
		await this.#run("dpkg-deb", "--build", "--root-owner-group", `deb/${name}`, `debian/pool/${file}`);
	}

	/** The source package hello 1. */
	async #dsc(): Promise<void> {
		const log = "hello (1) bookworm; urgency=low\n\n  * One.\n\n -- M <m@localhost>  Thu, 02 Jan 2020 03:04:05 +0000\n";
		this.#write("hello-1/debian/changelog", log);
		const control = "Source: hello\nMaintainer: M <m@localhost>\nStandards-Version: 4.6.0\n\n";
		this.#write("hello-1/debian/control", `${control}Package: hello\nArchitecture: all\nDescription: one\n`);
		this.#write("hello-1/debian/source/format", "3.0 (native)\n");
		this.#write("hello-1/file", "upstream\n");
		this.#write("hello-1/noise", randomBytes(200_000));
		await this.#run("env", "-C", "debian/pool", "dpkg-source", "-b", "../../hello-1");
	}

	/** A mirror of its own, with lists signed today. */
	async mirror(t: ExecutionContext): Promise<DebianMirror> {
		const folder = mkdtempSync(join(tmpdir(), "tracelab-mirror-"));
		t.teardown(() => rmSync(folder, { recursive: true, force: true }));
		cpSync(join(this.#folder, "debian"), join(folder, "debian"), { recursive: true });
		const mirror = new DebianMirror(folder, await FaultyServer.start(t, folder), this);
		await mirror.sign(new Date());
		return mirror;
	}

	get keyring(): Buffer {
		return readFileSync(join(this.#folder, "keyring.gpg"));
	}

	async signed(text: string): Promise<string> {
		const options = { env: { GNUPGHOME: join(this.#folder, "gnupg") }, input: text };
		return `${(await execa("gpg", ["--batch", "--quiet", "--clearsign"], options)).stdout}\n`;
	}

	#write(path: string, text: string | Buffer): void {
		mkdirSync(join(this.#folder, path, ".."), { recursive: true });
		writeFileSync(join(this.#folder, path), text);
	}

	#run(program: string, ...args: string[]) {
		return execa(program, args, {
			cwd: this.#folder,
			env: { GNUPGHOME: join(this.#folder, "gnupg"), LC_ALL: "C.UTF-8" },
		});
	}
}

const lists = { "main/binary-amd64/Packages": "dpkg-scanpackages", "main/source/Sources": "dpkg-scansources" };

/** A small archive of Debian's, of the suite bookworm, on the loopback. */
export class DebianMirror {
	/** How apt calls it. */
	readonly url: string;
	readonly server: FaultyServer;
	readonly #folder: string;
	readonly #archive: DebianArchive;
	readonly #made = new Date();

	constructor(folder: string, server: FaultyServer, archive: DebianArchive) {
		this.url = `${server.url}/debian`;
		this.server = server;
		this.#folder = folder;
		this.#archive = archive;
	}

	get keyring(): Buffer {
		return this.#archive.keyring;
	}

	/** Writes the InRelease of the lists as they are, of that date and whose archive it is. */
	async sign(date: Date, origin = "Debian"): Promise<void> {
		await this.edit("dists/bookworm/InRelease", () => this.#archive.signed(this.#release(date, origin)));
	}

	/** Writes an InRelease that nobody signed. */
	async unsigned(): Promise<void> {
		await this.edit("dists/bookworm/InRelease", () => this.#release(new Date(), "Debian"));
	}

	/** Gives a file other content; returns what gives it its own again. It looks as old as before. */
	async edit(path: string, change: (text: Buffer) => string | Buffer | Promise<string>): Promise<() => void> {
		const file = join(this.#folder, "debian", path);
		const before = existsSync(file) ? readFileSync(file) : Buffer.from("");
		const write = (text: string | Buffer): void => {
			writeFileSync(file, text);
			utimesSync(file, this.#made, this.#made);
		};
		write(await change(before));
		return () => write(before);
	}

	/** A file of the pool. */
	pool(file: string): Buffer {
		return readFileSync(join(this.#folder, "debian/pool", file));
	}

	#release(date: Date, origin: string): string {
		const head = `Origin: ${origin}\nSuite: stable\nCodename: bookworm\nDate: ${date.toUTCString()}\nArchitectures: all amd64\nComponents: main\nSHA256:\n`;
		const lines = Object.keys(lists).map((file) => {
			const text = readFileSync(join(this.#folder, "debian/dists/bookworm", file));
			return ` ${sha256(text)} ${text.length} ${file}\n`;
		});
		return head + lines.join("");
	}
}

/** Other bytes, as many. */
export const altered = (bytes: Buffer): Buffer => {
	const copy = Buffer.from(bytes);
	copy.fill(0, copy.length / 2, copy.length / 2 + 16);
	return copy;
};
