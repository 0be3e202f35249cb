import { readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { ExecutionContext } from "ava";

/** What befalls an answer when half of it was sent: the connection is cut, or nothing comes any more. */
export type Fault = "cut" | "stalled";

/** An HTTP server on the loopback, of a network that may fail. */
export class FaultyServer {
	/** What befalls each answer for that path of more than so many bytes. */
	fault: { readonly kind: Fault; readonly path: string; readonly above?: number } | undefined;
	/** `METHOD path` of each request, in order. */
	readonly asked: string[] = [];
	readonly #server;

	/** Serves a folder as Debian's mirrors do, parts of files included, or by `answer`. */
	static async start(
		t: ExecutionContext,
		answer: string | ((request: IncomingMessage, response: ServerResponse) => void),
	): Promise<FaultyServer> {
		const server = new FaultyServer(typeof answer === "string" ? (...both) => sendFile(answer, ...both) : answer);
		t.teardown(() => {
			server.#server.close();
			server.#server.closeAllConnections();
		});
		await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
		return server;
	}

	private constructor(answer: (request: IncomingMessage, response: ServerResponse) => void) {
		this.#server = createServer((request, response) => {
			const path = decodeURIComponent((request.url ?? "").replace(/\?.*/, ""));
			this.asked.push(`${request.method} ${path}`);
			if (this.fault?.path === path) failing(this.fault.kind, this.fault.above ?? 0, response);
			answer(request, response);
		});
	}

	get url(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}
}

/** Sends half of what is to be sent, in place of all. */
function failing(kind: Fault, above: number, response: ServerResponse): void {
	const end = response.end.bind(response);
	response.end = ((body: Buffer = Buffer.alloc(0)) => {
		if (body.length <= above) return end(body);
		return response.write(body.subarray(0, body.length / 2), () => {
			if (kind === "cut") setImmediate(() => response.socket?.destroy());
		});
	}) as typeof response.end;
}

function sendFile(folder: string, request: IncomingMessage, response: ServerResponse): void {
	const file = join(folder, decodeURIComponent(request.url ?? ""));
	const written = statSync(file, { throwIfNoEntry: false })?.mtime.toUTCString();
	if (written === undefined) {
		response.writeHead(404).end();
		return;
	}
	const whole = readFileSync(file);
	const asked = request.headers["if-range"] === written ? request.headers.range : undefined;
	const from = Number(/^bytes=(\d+)-$/.exec(asked ?? "")?.[1] ?? 0);
	const body = whole.subarray(from);
	const part = `bytes ${from}-${whole.length - 1}/${whole.length}`;
	const headers = { "Last-Modified": written, "Content-Length": body.length };
	if (asked === undefined) response.writeHead(200, headers);
	else if (body.length > 0) response.writeHead(206, { ...headers, "Content-Range": part });
	else response.writeHead(416, { ...headers, "Content-Range": `bytes */${whole.length}` });
	response.end(body);
}
