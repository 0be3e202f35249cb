import test, { type ExecutionContext } from "ava";
import { domain, fakeGuest } from "./fake-guest.ts";
import { ScratchHost, type StepRun } from "./run-step.ts";

function host(t: ExecutionContext): ScratchHost {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	fakeGuest(scratch);
	scratch.write("virt/state", "running\n");
	return scratch;
}

/** Runs `body`, whose output is shown as `out`, its exit status as `code`; conditions ignore errors, as in the steps. */
function agent(scratch: ScratchHost, body: string): Promise<StepRun> {
	const shown = `code=0; out=$(${body}) || code=$?; json_object "\\"out\\":$(json_string "$out")" "\\"code\\":\\"$code\\""`;
	return scratch.library("guest-agent", shown, { domain });
}

test("a guest that answers is told from one that does not", async (t) => {
	const scratch = host(t);
	t.is((await agent(scratch, "guest_answers 3")).stdout["code"], "0");
	scratch.write("virt/silent", "");
	const { stdout, stderr, calls } = await agent(scratch, "guest_answers 3");
	t.is(stdout["code"], "1");
	t.is(stderr, "", "its absence is no message");
	t.deepEqual(calls, [
		`virsh --quiet --connect qemu:///system qemu-agent-command --timeout 3 ${domain} {"execute":"guest-ping"}`,
	]);
});

test("a script's output, words and status come back as they were", async (t) => {
	const { stdout, stderr } = await agent(host(t), "guest_run 'echo out; echo words >&2; exit 3'");
	t.deepEqual(stdout, { out: "out", code: "3" });
	t.is(stderr, "words");
});

test("a script that says nothing says nothing", async (t) => {
	const { stdout, stderr } = await agent(host(t), "guest_run 'exit 0' | od -An -tx1");
	t.deepEqual(stdout, { out: "", code: "0" });
	t.is(stderr, "");
});

test("an argument is data, whatever is in it", async (t) => {
	const scratch = host(t);
	const body = `guest_run 'printf "<%s>" "$@"' 'two words' '$(touch /tmp/x)' '"' '' '\\' $'line\\nline'`;
	t.is((await agent(scratch, body)).stdout["out"], '<two words><$(touch /tmp/x)><"><><\\><line\nline>');
});

test("a script that takes its time is waited for", async (t) => {
	const scratch = host(t);
	scratch.write("virt/slow", "");
	const { stdout, calls } = await agent(scratch, "guest_run 'echo late'");
	t.deepEqual(stdout, { out: "late", code: "0" });
	t.is(calls.filter((call) => call.includes("guest-exec-status")).length, 3);
});

test("a script that a signal ended has the status that a shell gives it", async (t) => {
	t.is((await agent(host(t), "guest_run 'kill -9 $$'")).stdout["code"], "137");
});

test("an agent that stops answering is an error and no endless wait", async (t) => {
	const scratch = host(t);
	scratch.write("virt/deaf", "");
	const { stdout, stderr } = await agent(scratch, "guest_run 'echo x'");
	t.deepEqual(stdout, { out: "", code: "255" });
	t.is(stderr, "error: Guest agent is not responding: QEMU guest agent is not connected");
});

test("an agent that stops answering while its script runs is an error as well", async (t) => {
	const scratch = host(t);
	const { stdout } = await agent(scratch, `guest_run 'touch "${scratch.root}/virt/silent"'`);
	t.deepEqual(stdout, { out: "", code: "255" });
});

test("a small file of the guest is read without a program in it", async (t) => {
	const scratch = host(t);
	scratch.write("guest/sys/kernel/notes", "GNU\0\n\xff");
	const { stdout, calls } = await agent(scratch, "guest_hex /sys/kernel/notes");
	t.deepEqual(stdout, { out: "474e55000ac3bf", code: "0" });
	// The fake calls itself for each of several commands.
	t.deepEqual(calls, [
		`virsh --quiet --connect qemu:///system qemu-agent-command --timeout 10 ${domain} {"execute":"guest-file-open","arguments":{"path":"/sys/kernel/notes"}}`,
		`virsh --quiet --connect qemu:///system qemu-agent-command --timeout 10 ${domain} '{"execute":"guest-file-read","arguments":{"handle":1000,"count":65536}}'; qemu-agent-command --timeout 10 ${domain} '{"execute":"guest-file-close","arguments":{"handle":1000}}'`,
		`virsh --quiet --connect qemu:///system qemu-agent-command --timeout 10 ${domain} {"execute":"guest-file-read","arguments":{"handle":1000,"count":65536}}`,
		`virsh --quiet --connect qemu:///system qemu-agent-command --timeout 10 ${domain} {"execute":"guest-file-close","arguments":{"handle":1000}}`,
	]);
});

test("an empty file of the guest is empty, and an absent one is told from an agent that does not answer", async (t) => {
	const scratch = host(t);
	scratch.write("guest/sys/empty", "");
	t.deepEqual((await agent(scratch, "guest_hex /sys/empty")).stdout, { out: "", code: "0" });
	t.deepEqual((await agent(scratch, "guest_hex /sys/absent")).stdout, { out: "", code: "1" });
	scratch.write("virt/deaf", "");
	t.deepEqual((await agent(scratch, "guest_hex /sys/empty")).stdout, { out: "", code: "255" });
});
