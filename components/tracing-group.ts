import type * as pulumi from "@pulumi/pulumi";
import { LabComponent } from "./component.ts";

/**
 * Who may be traced: libvirt runs QEMU as libvirt-qemu, and LTTng's root session daemon sees the tracepoints of
 * processes in the group `tracing` only.
 *
 * Owns libvirt-qemu's membership in the group, and the session daemon where it started it.
 *
 *     new TracingGroup("tracing-group", { dependsOn: [host] });
 */
export class TracingGroup extends LabComponent {
	constructor(name: string, opts?: pulumi.ComponentResourceOptions) {
		super("TracingGroup", name, opts);
		this.step("member", { script: "tracing-group", inputs: {} });
		this.registerOutputs({});
	}
}
