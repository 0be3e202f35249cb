import test, { type ExecutionContext } from "ava";
import { ScratchHost, type StepRun } from "./run-step.ts";

const step = "gdb-port";
const vm = { domain: "quick-vm", port: "" };
const choose = "give another port in the stack file, or none, and the lab chooses";

/** `listening` below the root has a line for each port in use: the port, and what ss calls its user. */
function host(t: ExecutionContext, listening = ""): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	scratch.write("listening", listening);
	scratch.fake(
		"ss",
		`[ "$1" = -Hltnp ] || exit 96
		sed -n "s/^\${2#sport = :} *\\(.*\\)/LISTEN 0 9 127.0.0.1:X 0.0.0.0:* \\1/p" "$root/listening"`,
	);
	return scratch;
}

const portStep = (domain: string) => `domain-${domain}-gdb-port`;
const used = (name: string, pid: number) => `users:(("${name}",pid=${pid},fd=3))`;

async function drift(scratch: ScratchHost, inputs: Record<string, string> = vm): Promise<string | undefined> {
	return (await scratch.step(step, "probe", inputs)).stdout["drift"];
}

function reservations(scratch: ScratchHost): string[] {
	return Object.keys(scratch.tree())
		.filter((path) => path.startsWith("var/lib/tracelab/ports/"))
		.map((path) => `${path.slice(23)} ${scratch.read(path).trim()}`);
}

test("a domain gets gdb's own port once, and remove gives it back", async (t) => {
	const scratch = host(t);
	const before = scratch.hostTree();
	t.is(await drift(scratch), "no gdb port is reserved for quick-vm");
	const first = await scratch.step(step, "apply", vm);
	t.is(first.stderr, "gdb-port: reserved gdb port 1234 for quick-vm");
	t.deepEqual(first.stdout, { port: "1234" });
	t.is(await drift(scratch), "");
	const applied = scratch.tree();
	const second = await scratch.step(step, "apply", vm);
	t.is(second.stderr, "gdb-port: gdb port 1234 is reserved for quick-vm");
	t.deepEqual(second.stdout, { port: "1234" });
	t.deepEqual(scratch.tree(), applied);
	t.is((await scratch.step(step, "remove", vm)).stderr, "");
	t.false("var/lib/tracelab/ports" in scratch.tree());
	t.deepEqual(scratch.hostTree(), before);
});

test("a port that is reserved or in use is passed over", async (t) => {
	const scratch = host(t, `1234 ${used("gdbserver", 77)}\n1236 \n`);
	const port = async (domain: string) => (await scratch.step(step, "apply", { domain, port: "" })).stdout["port"];
	t.deepEqual([await port("quick-a"), await port("quick-b")], ["1235", "1237"]);
	t.deepEqual(reservations(scratch), ["1235 quick-a", "1237 quick-b"]);
});

test("domains that come up at once get ports of their own", async (t) => {
	const scratch = host(t);
	const domains = ["a", "b", "c", "d"];
	const runs = await Promise.all(
		domains.map((domain) => scratch.step(step, "apply", { domain, port: "", step: domain })),
	);
	t.deepEqual(runs.map((run) => run.stdout["port"]).sort(), ["1234", "1235", "1236", "1237"]);
});

test("a removed domain's port is the next one's, and nobody else's goes", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", vm);
	await scratch.step(step, "apply", { domain: "other-vm", port: "" });
	await scratch.step(step, "remove", vm);
	t.deepEqual(reservations(scratch), ["1235 other-vm"]);
	t.is((await scratch.step(step, "apply", { domain: "third", port: "" })).stdout["port"], "1234");
});

test("a port of the stack's own is taken, and the reservation moves with it", async (t) => {
	const scratch = host(t);
	await scratch.step(step, "apply", vm);
	const wanted = { ...vm, port: "4000" };
	t.is(await drift(scratch, wanted), "gdb port 1234 is reserved for quick-vm, not 4000");
	t.deepEqual((await scratch.step(step, "apply", wanted)).stdout, { port: "4000" });
	t.deepEqual(reservations(scratch), ["4000 quick-vm given"]);
	t.is(await drift(scratch, wanted), "");
	t.is(await drift(scratch), "", "any port will do once none is asked for");
});

const refused = test.macro({
	exec: async (
		t: ExecutionContext,
		prepare: (scratch: ScratchHost) => Promise<unknown>,
		what: string,
		todo: string,
	) => {
		const scratch = host(t);
		await scratch.step(step, "apply", vm);
		await prepare(scratch);
		const { code, stderr } = await scratch.step(step, "apply", { ...vm, port: "4000" });
		t.is(code, 1);
		t.is(stderr, `tracelab: gdb-port: gdb port 4000 is ${what}\n  what to do: ${todo}`);
		t.true(reservations(scratch).includes("1234 quick-vm"), "what it had is still its own");
	},
	title: (title = "") => `a port that is ${title} is an error, and the old reservation stays`,
});
const listening = (line: string) => async (scratch: ScratchHost) => scratch.write("listening", line);

test(
	"reserved for another domain",
	refused,
	(scratch: ScratchHost) => scratch.step(step, "apply", { domain: "other-vm", port: "4000" }),
	"reserved for the domain other-vm",
	choose,
);
test(
	"reserved for a domain of a stack whose name begins as this one's",
	refused,
	(scratch: ScratchHost) =>
		scratch.step(step, "apply", { stack: "quick-kasan", step: portStep("vm"), domain: "quick-kasan-vm", port: "4000" }),
	"reserved for the domain quick-kasan-vm",
	choose,
);
test(
	"reserved for a domain of the stack that the lab chose it for",
	refused,
	async (scratch: ScratchHost) => {
		await scratch.step(step, "apply", { step: portStep("two"), domain: "quick-two", port: "" });
		await scratch.bash(`cd '${scratch.root}/var/lib/tracelab/ports' && mv 1235 4000`);
		scratch.write("listening", `4000 ${used("two", 78)}\n`);
		scratch.write("run/libvirt/qemu/quick-two.pid", "78");
	},
	"reserved for the domain quick-two",
	choose,
);
test(
	"in use by a domain of a stack whose name begins as this one's",
	refused,
	async (scratch: ScratchHost) => {
		scratch.write("listening", `4000 ${used("vm", 78)}\n`);
		scratch.write("run/libvirt/qemu/quick-kasan-vm.pid", "78");
	},
	"in use by vm, process 78",
	`stop that process, ${choose}`,
);
test("a port goes from one domain of a stack to another, as in a rename, and what each has is its own then", async (t) => {
	const scratch = host(t);
	const run = (verb: "apply" | "remove", domain: string, port: string) =>
		scratch.step(step, verb, { step: portStep(domain), domain: `quick-${domain}`, port });
	await run("apply", "one", "4000");
	await run("apply", "two", "4001");
	scratch.write("listening", `4000 ${used("one", 77)}\n4001 ${used("two", 78)}\n`);
	scratch.fake(
		"virsh",
		`[ "$*" = "--quiet --connect qemu:///system destroy $5" ] && sed -i "/"\${5#quick-}"/d" "$root/listening"`,
	);
	scratch.write("run/libvirt/qemu/quick-one.pid", "77");
	scratch.write("run/libvirt/qemu/quick-two.pid", "78");
	t.deepEqual((await run("apply", "two", "4000")).stderr.split("\n"), [
		"domain-two-gdb-port: stopped quick-one, whose gdb port 4000 is quick-two's now",
		"domain-two-gdb-port: reserved gdb port 4000 for quick-two",
	]);
	t.is(scratch.read("listening"), `4001 ${used("two", 78)}\n`);
	t.deepEqual((await run("apply", "one", "4001")).stderr.split("\n"), [
		"domain-one-gdb-port: stopped quick-two, whose gdb port 4001 is quick-one's now",
		"domain-one-gdb-port: reserved gdb port 4001 for quick-one",
	]);
	t.deepEqual(reservations(scratch), ["4000 quick-two given", "4001 quick-one given"]);
	await run("remove", "one", "4001");
	t.deepEqual(reservations(scratch), ["4000 quick-two given"]);
	scratch.write("listening", `4000 ${used("two", 78)}\n`);
	t.deepEqual((await run("apply", "three", "4000")).stderr.split("\n"), [
		"domain-three-gdb-port: stopped quick-two, whose gdb port 4000 is quick-three's now",
		"domain-three-gdb-port: reserved gdb port 4000 for quick-three",
	]);
	await run("remove", "two", "4000");
	t.deepEqual(reservations(scratch), ["4000 quick-three given"], "it is the renamed one's");
});

test("a port that was given is free for another domain once it is not given any more, whichever comes first", async (t) => {
	for (const order of [
		["one", "two"],
		["two", "one"],
	]) {
		const scratch = host(t);
		scratch.fake("virsh", `echo "$*" >>"$root/stopped"; : >"$root/listening"`);
		const apply = (domain: string, port: string) =>
			scratch.step(step, "apply", { step: portStep(domain), domain: `quick-${domain}`, port });
		await apply("one", "4000");
		scratch.write("listening", `4000 ${used("one", 77)}\n`);
		scratch.write("run/libvirt/qemu/quick-one.pid", "77");
		for (const domain of order) t.is((await apply(domain, domain === "two" ? "4000" : "")).code, 0);
		t.deepEqual(reservations(scratch), ["1234 quick-one", "4000 quick-two given"]);
		t.is(scratch.read("stopped"), "--quiet --connect qemu:///system destroy quick-one\n");
	}
});

test("a reservation of an older tracelab's learns that it was given", async (t) => {
	const scratch = host(t);
	scratch.write("var/lib/tracelab/ports/4000", "quick-vm\n");
	const { stderr } = await scratch.step(step, "apply", { ...vm, port: "4000" });
	t.is(stderr, "gdb-port: gdb port 4000 is reserved for quick-vm");
	t.deepEqual(reservations(scratch), ["4000 quick-vm given"]);
});

test(
	"in use",
	refused,
	listening(`4000 ${used("my server", 77)}\n`),
	"in use by my server, process 77",
	`stop that process, ${choose}`,
);
test(
	"in use by another container",
	refused,
	listening("4000 \n"),
	"in use by an unknown process",
	`stop that process, ${choose}`,
);

test("a domain that runs while its reservation was lost keeps its port", async (t) => {
	const scratch = host(t, `1234 ${used("qemu", 5_000_000)}\n4000 ${used("qemu", 5_000_000)}\n`);
	scratch.write("run/libvirt/qemu/quick-vm.pid", "5000000\n");
	t.deepEqual((await scratch.step(step, "apply", vm)).stdout, { port: "1234" });
	t.deepEqual((await scratch.step(step, "apply", { ...vm, port: "4000" })).stdout, { port: "4000" });
});

test("a step that is killed while it writes reserves nothing, and what it left is no port", async (t) => {
	const scratch = host(t);
	scratch.fake("mv", "kill -9 $PPID");
	const killed: StepRun = await scratch.step(step, "apply", vm);
	t.not(killed.code, 0);
	t.is(await drift(scratch), "no gdb port is reserved for quick-vm");
	scratch.fake("mv", 'exec /bin/mv "$@"');
	t.deepEqual((await scratch.step(step, "apply", vm)).stdout, { port: "1234" });
	t.deepEqual(reservations(scratch), ["1234 quick-vm"]);
});

test("a host without ss says so, and no port is taken unseen", async (t) => {
	const scratch = host(t);
	scratch.fake("ss", "exit 127");
	const { code, stderr } = await scratch.step(step, "apply", vm);
	t.is(code, 1);
	t.is(stderr, "tracelab: gdb-port: ss cannot say who listens on port 1234\n  what to do: install iproute2");
	t.deepEqual(reservations(scratch), []);
});
