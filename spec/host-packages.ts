/**
 * Debian packages that a lab needs on the host, each with its why. Names are bookworm's; dependencies come along,
 * recommendations don't.
 */
export const hostPackageTable = {
	// The steps themselves.
	jq: "steps read JSON",
	procps: "pgrep and ps tell whose process is whose",
	iproute2: "ss shows which ports are taken",
	kmod: "depmod makes a module tree's index",
	"xz-utils": "Debian's sources are .tar.xz",
	"ca-certificates": "sources come over https",
	curl: "fetches tarball: sources and checks that they exist",
	git: "fetches git: sources",

	// Compiling: QEMU, kernels, modules.
	gcc: "the compiler of everything",
	"libc6-dev": "its headers",
	make: "kernels and modules",
	"dpkg-dev": "unpacks debian: sources with their patches (dpkg-source)",
	ccache: "makes the second build of the same thing short",

	// Kernels and modules.
	bc: "kernel/time/timeconst.h is computed with it",
	bison: "Kconfig's parser",
	flex: "Kconfig's scanner",
	"libelf-dev": "objtool reads ELF",
	"libssl-dev": "scripts/sign-file and certs/extract-cert",
	lz4: "packs bzImage: of all packings, the one that an emulated guest unpacks soonest",
	python3: "QEMU's configure and the kernel's gdb scripts",

	// QEMU; facts measured with exactly these.
	meson: "QEMU's build system",
	"ninja-build": "meson's back end",
	"pkg-config": "how meson finds libraries",
	"python3-venv": "QEMU's configure makes itself a venv",
	"libglib2.0-dev": "QEMU's base library",
	"libpixman-1-dev": "QEMU's display core, wanted even without a display",
	"libfdt-dev": "device trees (--enable-fdt=system)",
	"liblttng-ust-dev": "the ust trace backend",
	"libattr1-dev": "9p shares with mapped attributes (--enable-virtfs)",
	"libcap-ng-dev": "virtfs drops privileges",
	"libseccomp-dev": "libvirt passes -sandbox",
	"systemtap-sdt-dev": "the dtrace trace backend: dtrace, which QEMU's configure asks for, and sys/sdt.h",
	"libslirp-dev": "-netdev user, the loopback way in",

	// Firmware that QEMU's -L path finds; the emulator itself is the lab's own.
	seabios: "BIOS and VGA BIOS",
	"qemu-system-data": "linuxboot_dma.bin for direct kernel boot, kvmvapic.bin, keymaps",
	"ipxe-qemu": "network cards' option ROMs: QEMU refuses a card without its ROM file",

	// Guest images.
	mmdebstrap: "makes the root file system",
	e2fsprogs: "mke2fs -d packs it without a mount",
	"qemu-utils": "qemu-img makes qcow2 images and overlays",

	// libvirt.
	"libvirt-daemon-system": "libvirtd, its configuration, and the user libvirt-qemu",
	"libvirt-clients": "virsh",
	"qemu-system-x86":
		"what libvirt says it can run it takes from Debian's QEMU, and @pulumi/libvirt asks; no lab runs it",
	xsltproc: "the libvirt provider runs it on a domain's XML",

	// Looking at what runs.
	"lttng-tools": "the session daemon, lttng, and the group tracing",
	babeltrace2: "reads CTF traces",
	gdb: "debugs the guest's kernel",
	systemtap: "stap compiles probes for guests' kernels",
} as const satisfies Readonly<Record<string, string>>;

/** The names alone, sorted. */
export const hostPackages: readonly string[] = Object.keys(hostPackageTable).sort();
