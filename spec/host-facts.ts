import { z } from "zod";

/** What scripts/host-facts.sh prints: the host as it is before anything is changed. */
export const hostFactsSchema = z.strictObject({
	/** os-release's ID and VERSION_ID; a rolling release has no version. */
	os: z.strictObject({ id: z.string(), version: z.string() }),
	/** The processor's virtualization flag; empty where it shows none. */
	virtualization: z.enum(["vmx", "svm", ""]),
	/** Is the host itself a virtual machine? */
	hypervisor: z.boolean(),
	/** Is there a /dev/kvm? */
	kvm: z.boolean(),
	/** Does systemd run, so that services are its units? */
	systemd: z.boolean(),
	/** Is AppArmor enforced by the running kernel? */
	apparmor: z.boolean(),
	/** Bytes free where builds and where their caches are: on the file systems of /opt/tracelab and /var/cache/tracelab. */
	free: z.strictObject({ opt: z.int().nonnegative(), cache: z.int().nonnegative() }),
	/** QEMUs, kernels and images that are built, for a lab or in the cache: KIND/HASH. */
	builds: z.array(z.string()),
	/** Bytes that these took while they were made, and the last of each kind: by KIND/HASH and KIND/last. */
	buildBytes: z.record(z.string(), z.int()),
	/** Domains and trace sessions that stacks have here, each by steps of it: STACK/STEP. */
	begun: z.array(z.string()),
	/**
	 * Of the gdb ports that were asked for, those that are taken, by number: the domain that it is reserved for, whether a stack file gave
	 * it that one, who listens there, and of which domain that is the QEMU. What there is none of is empty.
	 */
	gdbPorts: z.record(
		z.string(),
		z.strictObject({ reserved: z.string(), given: z.boolean(), listener: z.string(), qemuOf: z.string() }),
	),
});

export type HostFacts = z.infer<typeof hostFactsSchema>;
