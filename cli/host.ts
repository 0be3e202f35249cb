import { fileURLToPath } from "node:url";

/** The project's folder, without a slash at its end. */
export const project = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** A path of the host, below the scratch root that tests put it under. */
export function onHost(path: string): string {
	return `${process.env["TRACELAB_ROOT"] ?? ""}${path}`;
}

/** Folder of a stack's logs. */
export const logFolder = (stack: string): string => onHost(`/var/log/tracelab/${stack}`);
