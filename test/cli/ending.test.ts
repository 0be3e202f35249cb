import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { setTimeout as pause } from "node:timers/promises";
import test from "ava";
import { execa } from "execa";
import { project } from "../../cli/host.ts";

/** A program that does work in order while another program runs, and says at its end whether it was to end. */
const program = (work: string) => `
import { inOrder, watchOutput } from ${JSON.stringify(`${project}/cli/ending.ts`)};
import { run } from ${JSON.stringify(`${project}/cli/program.ts`)};
for (const stream of [process.stdout, process.stderr]) watchOutput(stream);
${work}`;

const waits = program(`
const to = await inOrder(async (interrupted) => {
	console.log("begun");
	while (!interrupted.aborted) await run("sleep", ["0.05"]);
	await run("sleep", ["0.5"]);
	return interrupted.aborted;
});
console.log(to);
await run("sleep", ["0.5"]);
console.log("behind it");`);

async function signalled(...signals: NodeJS.Signals[]) {
	const child = spawn(process.execPath, ["--input-type=module", "-e", waits], { stdio: ["ignore", "pipe", "ignore"] });
	const said = text(child.stdout);
	const ended = once(child, "exit");
	await once(child.stdout, "readable");
	for (const signal of signals) {
		child.kill(signal);
		await pause(150);
	}
	const [code, by] = await ended;
	return { code, by, said: await said };
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
	test(`what goes on when ${signal} comes is ended in order, whatever program it runs just then`, async (t) => {
		t.timeout(60_000);
		t.deepEqual(await signalled(signal), { code: 0, by: null, said: "begun\ntrue\nbehind it\n" });
	});
}

test("a second Ctrl-C does not wait for that", async (t) => {
	t.deepEqual(await signalled("SIGINT", "SIGINT"), { code: 130, by: null, said: "begun\n" });
	t.deepEqual(await signalled("SIGINT", "SIGTERM"), { code: 143, by: null, said: "begun\n" });
});

test("a terminal that is closed says so twice", async (t) => {
	t.deepEqual(await signalled("SIGHUP", "SIGHUP"), { code: 0, by: null, said: "begun\ntrue\nbehind it\n" });
});

// A Ctrl-C in a terminal goes to `tee` as well, in either order.
for (const first of ["the signal", "the end of the reader"] as const) {
	test(`a Ctrl-C that ends the reader of the output along with it ends all in order: ${first} first`, async (t) => {
		t.timeout(60_000);
		const source = program(`
await inOrder(async (interrupted) => {
	while (!interrupted.aborted) {
		console.log("before");
		await run("sleep", ["0.02"]);
	}
	for (let last = 0; last < 20; last++) {
		console.log("its last words");
		await run("sleep", ["0.02"]);
	}
	console.error("ended in order");
});`);
		const child = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: "pipe" });
		const said = text(child.stderr);
		const ended = once(child, "exit");
		await once(child.stdout, "readable");
		if (first === "the signal") child.kill("SIGINT");
		child.stdout.destroy();
		await pause(150);
		if (first !== "the signal") child.kill("SIGINT");
		t.deepEqual([await ended, await said], [[0, null], "ended in order\n"]);
	});
}

test("behind such work a signal ends the program as any other", async (t) => {
	const ends = program(`
await inOrder(async () => {});
console.log("begun");
await run("sleep", ["5"]);`);
	const child = spawn(process.execPath, ["--input-type=module", "-e", ends], { stdio: ["ignore", "pipe", "ignore"] });
	await once(child.stdout, "readable");
	child.kill("SIGTERM");
	t.deepEqual(await once(child, "exit"), [null, "SIGTERM"]);
});

const chatters = `
	while (!interrupted.aborted) {
		console.log("again");
		await run("sleep", ["0.02"]);
	}`;

test("where nobody reads the output any more, what goes on ends in order", async (t) => {
	t.timeout(60_000);
	const source = program(
		`await inOrder(async (interrupted) => {${chatters}});\nconsole.error("ended in order");\nprocess.exitCode = 7;`,
	);
	const { stdout, stderr } = await execa("bash", [
		...["-c", '"$0" --input-type=module -e "$1" | head -n 1; echo "${PIPESTATUS[0]}"', process.execPath, source],
	]);
	t.deepEqual([stdout, stderr], ["again\n7", "ended in order"]);
});

test("where that is all that a program does, it ends well", async (t) => {
	const source = program(`for (;;) {\n\tconsole.log("again");\n\tawait run("sleep", ["0.02"]);\n}`);
	const { stdout } = await execa("bash", [
		...["-c", '"$0" --input-type=module -e "$1" | head -n 1; echo "${PIPESTATUS[0]}"', process.execPath, source],
	]);
	t.is(stdout, "again\n0");
});

test("an output that finds no room is said, and is a failure", async (t) => {
	const source = program('console.log("lost");\nawait run("sleep", ["5"]);');
	const { exitCode, stderr } = await execa(
		"bash",
		["-c", 'exec "$0" --input-type=module -e "$1" >/dev/full', process.execPath, source],
		{ reject: false },
	);
	t.deepEqual([exitCode, stderr], [1, "lab: the output cannot be written: ENOSPC: no space left on device, write"]);
});
