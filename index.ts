import "./components/lean-pulumi.ts";
import * as pulumi from "@pulumi/pulumi";
import { lookAtHost } from "./components/host.ts";
import { Lab } from "./components/lab.ts";
import { AccelerationError } from "./spec/acceleration.ts";
import { buildPrefixes } from "./spec/build-prefixes.ts";
import { DiskSpaceError } from "./spec/disk-space.ts";
import { GdbPortError, givenPorts } from "./spec/gdb-ports.ts";
import { loadStack, StackFileError } from "./spec/load-stack.ts";
import { lockHash, readLock } from "./spec/lock.ts";
import { NameClashError } from "./spec/name-clash.ts";

async function declareLab() {
	try {
		const stack = loadStack(pulumi.getStack());
		const lock = readLock(stack.name, () => buildPrefixes(stack));
		const facts = await lookAtHost(givenPorts(stack));
		return new Lab(stack.name, { stack, facts, lock, lockHash: lockHash(stack.name) }).card;
	} catch (error) {
		// The engine shows a RunError's text and no stack trace.
		const forPeople = [StackFileError, AccelerationError, DiskSpaceError, GdbPortError, NameClashError].some(
			(kind) => error instanceof kind,
		);
		throw error instanceof Error && forPeople ? new pulumi.RunError(error.message) : error;
	}
}

/** What came up, as in /var/lib/tracelab/labs/STACK.json. */
export const lab = await declareLab();
