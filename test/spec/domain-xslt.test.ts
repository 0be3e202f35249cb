import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { type DomainExtras, domainXslt, overlayXslt } from "../../spec/domain-xslt.ts";

// The golden files are what xsltproc makes of the *.before.xml, which have what
// @pulumi/libvirt writes: elements that the stylesheets take out, change and leave alone.
// UPDATE_GOLDEN=1 writes them anew; read them before they are committed.

const golden = join(import.meta.dirname, "golden");
const scratch = mkdtempSync(join(tmpdir(), "tracelab-xslt-"));
test.after.always(() => rmSync(scratch, { recursive: true }));

/** What the provider does: the stylesheet in a file, the XML on standard input. */
function apply(name: string, xslt: string, before: string): string {
	const file = join(scratch, `${name}.xsl`);
	writeFileSync(file, xslt);
	return execFileSync("xsltproc", ["--nomkdir", "--nonet", file, "-"], { input: before, encoding: "utf8" });
}

function isGolden(t: { is(actual: string, expected: string): void }, name: string, xslt: string): void {
	const after = apply(name, xslt, readFileSync(join(golden, `${name}.before.xml`), "utf8"));
	const file = join(golden, `${name}.after.xml`);
	if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, after);
	t.is(after, readFileSync(file, "utf8"));
}

const extras: DomainExtras = {
	gdbPort: 1234,
	commandLine: "root=/dev/vda rw console=tty0 console=ttyS0",
	processName: "quickstart-vm",
	shareFolder: "/var/lib/tracelab/domains/quickstart-vm/root",
	consoleLog: "/var/lib/tracelab/domains/quickstart-vm/console.log",
	consoleSocket: "/var/lib/tracelab/domains/quickstart-vm/console.sock",
	hypervisorOptions: [],
};

test("a domain becomes one that can be traced and debugged", (t) => {
	const hypervisorOptions = ["-smbios", "type=1,manufacturer=Acme & Sons"];
	isGolden(t, "domain", domainXslt({ ...extras, hypervisorOptions }));
});

test("a volume comes to lie over an image", (t) => {
	isGolden(t, "volume", overlayXslt("/opt/tracelab/image/0123456789abcdef/image.qcow2"));
});

const odd = `/a b/<&"'>{{x}}$1,é`;

test("what XML, XSLT or QEMU would take for its own comes out as it went in", (t) => {
	const text = odd.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
	// In attributes, xsltproc writes ASCII.
	const attribute = text.replaceAll('"', "&quot;").replaceAll("é", "&#xE9;");
	const before = "<domain><os><cmdline>root=/dev/vda</cmdline></os><devices/></domain>";
	const changed = {
		...extras,
		commandLine: odd,
		shareFolder: odd,
		consoleLog: odd,
		consoleSocket: odd,
		processName: "a,{b}&c",
	};
	const domain = apply("odd", domainXslt(changed), before);
	for (const key of ["dir", "file", "path"]) t.true(domain.includes(` ${key}="${attribute}"`), domain);
	t.true(domain.includes(`<cmdline>${text}</cmdline>`), domain);
	// QEMU reads two commas as one.
	t.true(domain.includes('<qemu:arg value="process=a,,{b}&amp;c"/>'), domain);
	const volume = apply("odd", overlayXslt(odd), "<volume/>");
	t.true(volume.includes(`<path>${text}</path>`), volume);
});

test("the gdbstub listens on 127.0.0.1 alone, and QEMU gets the process name after libvirt's own", (t) => {
	const args = [...domainXslt(extras).matchAll(/<qemu:arg value="([^"]*)"\/>/g)].map((match) => match[1]);
	t.deepEqual(args, ["-gdb", "tcp:127.0.0.1:1234", "-name", "process=quickstart-vm"]);
});

test("a domain without a kernel of its own gets no command line", (t) => {
	t.false(apply("bare", domainXslt(extras), "<domain><os/><devices/></domain>").includes("cmdline"));
});

test("the same extras are the same stylesheet, since another one replaces the domain", (t) => {
	t.is(domainXslt({ ...extras }), domainXslt(extras));
	t.not(domainXslt({ ...extras, gdbPort: 1235 }), domainXslt(extras));
});
