/** Debian packages that every guest has, each with its why; an image's `packages` come on top. */
export const guestPackageTable = {
	"systemd-sysv": "init",
	"qemu-guest-agent": "how the lab talks to a guest that has no network",
	kmod: "modprobe, depmod",
	procps: "ps, sysctl, pgrep",
	"lttng-tools": "traces the guest's programs",
	"systemtap-runtime": "staprun runs what stap compiled elsewhere",
} as const satisfies Readonly<Record<string, string>>;

/** The names alone, sorted. */
export const guestPackages: readonly string[] = Object.keys(guestPackageTable).sort();
