import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const address = server.address();
	server.close();
	await once(server, "close");
	return typeof address === "object" && address !== null ? address.port : 0;
}

/** An SSH server on loopback that lets one key in, as root. Root's home is empty for it, in a mount namespace of its own. */
export async function sshServer(folder: string): Promise<{ argv: string[]; stop: () => void }> {
	const [hostKey, key, pid] = ["host", "key", "pid"].map((name) => join(folder, name));
	for (const file of [hostKey, key])
		execFileSync("dropbearkey", ["-t", "ed25519", "-f", String(file)], { stdio: "pipe" });
	const port = await freePort();
	const serve = `mount -t tmpfs -o mode=700 none /root
mkdir -m 700 /root/.ssh
dropbearkey -y -f "$1" | grep '^ssh-' >/root/.ssh/authorized_keys
exec dropbear -F -E -s -p "127.0.0.1:$2" -r "$3" -P "$4"`;
	const args = ["--mount", "sh", "-e", "-c", serve, "serve", key, `${port}`, hostKey, pid].map(String);
	const server = spawn("unshare", args, { stdio: "ignore" });
	for (let tries = 0; tries < 100 && !existsSync(String(pid)); tries++) await pause(50);
	const argv = ["dbclient", "-y", "-y", "-T", "-i", String(key), "-p", `${port}`, "root@127.0.0.1"];
	return { argv, stop: () => server.kill() };
}
