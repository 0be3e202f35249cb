import { optionValue } from "./hypervisor.ts";

/** What a traced domain has that @pulumi/libvirt has no field for. */
export interface DomainExtras {
	/** TCP port of the gdbstub, on 127.0.0.1. */
	gdbPort: number;
	/** The kernel's command line. */
	commandLine: string;
	/** Name of the QEMU process, at most 15 bytes: the kernel keeps no more of it. */
	processName: string;
	/** Folder on the host that the guest sees, read-only, as /lab. */
	shareFolder: string;
	/** All that the guest prints on its serial console; written by virtlogd. */
	consoleLog: string;
	/** Unix socket of the serial console. */
	consoleSocket: string;
	/** Options of QEMU that change by what the guest can tell that it is one. */
	hypervisorOptions: readonly string[];
}

/**
 * The XSLT that turns the XML of @pulumi/libvirt's domain into the XML of a traced domain.
 *
 * `qemu:commandline` carries the gdbstub, which libvirt knows nothing of, and a second `-name`: libvirt's own
 * `set_process_name` gives every process the name `qemu:DOMAIN`, cut to 15 bytes, and QEMU takes the last one.
 * @pulumi/libvirt writes the machine's version out as Debian's QEMU has it (pc-i440fx-7.2), which is not always one
 * that the lab's has: libvirt itself does that again, with the right one. And it sorts the kernel's command line,
 * whose order matters (the last console= is /dev/console). There is no USB controller, since probing
 * it is a second of an emulated boot. An emulated guest's translated code has 64 MiB, and not QEMU's 1 GiB: a reset
 * has each piece of it thrown away by itself. After some minutes of work that was 37 s of a processor against 16 s, where
 * a first boot takes 12 s, after hours it was minutes; and QEMU took 604 MB of the host against 258 MB.
 */
export function domainXslt(extras: DomainExtras): string {
	return stylesheet(
		`
	<xsl:template match="/domain">
		<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
			<xsl:apply-templates select="@*|node()"/>
			<qemu:commandline>${commandLine(extras)}
			</qemu:commandline>
		</domain>
	</xsl:template>
	<xsl:template match="/domain/os/cmdline">
		<cmdline>${text(extras.commandLine)}</cmdline>
	</xsl:template>
	<xsl:template match="/domain/os/type/@machine">
		<xsl:attribute name="machine">pc</xsl:attribute>
	</xsl:template>
	<xsl:template match="/domain[@type='qemu']/features">
		<features>
			<xsl:apply-templates select="@*|node()"/>
			<tcg><tb-cache unit="MiB">64</tb-cache></tcg>
		</features>
	</xsl:template>
	<xsl:template match="/domain/devices">
		<devices>
			<xsl:apply-templates select="@*|node()"/>
			<controller type="usb" model="none"/>
			<filesystem type="mount" accessmode="mapped">
				<source dir="${attribute(extras.shareFolder)}"/>
				<target dir="lab"/>
				<readonly/>
			</filesystem>
			<serial type="unix">
				<source mode="bind" path="${attribute(extras.consoleSocket)}"/>
				<log file="${attribute(extras.consoleLog)}" append="on"/>
				<target port="0"/>
			</serial>
		</devices>
	</xsl:template>
	<xsl:template match="/domain/devices/graphics|/domain/devices/video|/domain/devices/console"/>`,
	);
}

function commandLine(extras: DomainExtras): string {
	const own = ["-gdb", `tcp:127.0.0.1:${extras.gdbPort}`, "-name", `process=${optionValue(extras.processName)}`];
	const options = [...own, ...extras.hypervisorOptions];
	return options.map((value) => `\n\t\t\t\t<qemu:arg value="${attribute(value)}"/>`).join("");
}

/**
 * The XSLT that puts a volume over an image, wherever that is: @pulumi/libvirt's own `baseVolumeId` wants the
 * image in a pool, and a pool over the folder of a shared build would delete it.
 */
export function overlayXslt(image: string): string {
	return stylesheet(
		`
	<xsl:template match="/volume">
		<volume>
			<xsl:apply-templates select="@*|node()"/>
			<backingStore>
				<path>${text(image)}</path>
				<format type="qcow2"/>
			</backingStore>
		</volume>
	</xsl:template>`,
	);
}

function stylesheet(templates: string): string {
	return `<?xml version="1.0"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
	<xsl:output omit-xml-declaration="yes" indent="yes"/>
	<xsl:template match="node()|@*">
		<xsl:copy><xsl:apply-templates select="node()|@*"/></xsl:copy>
	</xsl:template>${templates}
</xsl:stylesheet>
`;
}

/** Text as an attribute of an element of the result, where XSLT takes braces for an expression. */
function attribute(value: string): string {
	return text(value).replaceAll("{", "{{").replaceAll("}", "}}");
}

function text(value: string): string {
	return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
