import { readFileSync, writeFileSync } from "node:fs";
import test from "ava";
import { loadProfile, ProfileError, profileNames } from "../../spec/load-profile.ts";
import { buffersFor, matches } from "../../spec/profile.ts";
import { sessionInputs } from "../../spec/session-inputs.ts";

const shipped = ["block-io", "boot", "everything", "exits-and-interrupts", "memory"];

test("the profiles of this project are these, and each can be used", (t) => {
	t.deepEqual(profileNames(), shipped);
	for (const name of shipped) t.is(loadProfile(name).name, name);
});

for (const name of shipped) {
	test(`profile ${name} tells editors its schema, and says in a sentence why it has each event`, (t) => {
		const [first] = readFileSync(new URL(`../../profiles/${name}.yaml`, import.meta.url), "utf8").split("\n");
		t.is(first, "# yaml-language-server: $schema=schema.json");
		const { qemu, guest, host } = loadProfile(name);
		for (const [event, why] of Object.entries({ ...qemu, ...guest, ...host })) t.regex(why, /^[A-Z].{15,}\.$/, event);
	});
}

// UPDATE_GOLDEN=1 writes the texts anew; read them before they are committed.
const bad = `${import.meta.dirname}/bad-profiles`;

for (const name of profileNames(`${bad}/profiles`)) {
	test(`bad-profiles/profiles/${name}.yaml is refused in its own words`, (t) => {
		const error = t.throws(() => loadProfile(name, bad), { instanceOf: ProfileError });
		const golden = `${bad}/profiles/${name}.txt`;
		if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, `${error?.message}\n`);
		t.is(`${error?.message}\n`, readFileSync(golden, "utf8"));
	});
}

test("a profile that there is not is an error that says which there are", (t) => {
	t.throws(() => loadProfile("blockio"), {
		message:
			'profiles: there is no profile "blockio" (did you mean "block-io"?)\n    the profiles there are: block-io, boot, everything, exits-and-interrupts, memory',
	});
	t.throws(() => loadProfile("../stacks/quickstart"), { message: /^profiles: there is no profile/ });
	t.throws(() => loadProfile("any", "/nowhere"), { message: /there are none at all$/ });
});

test("a pattern's star stands for any letters, and nothing else of it for more than itself", (t) => {
	t.true(matches("virtio_*", "virtio_notify"));
	t.true(matches("*", "anything"));
	t.true(matches("qemu:*_notify", "qemu:virtio_notify"));
	t.false(matches("virtio_*", "a_virtio_notify"));
	t.false(matches("virtio_notify", "virtio_notify_irqfd"));
});

test("buffers hold two seconds of the budget, in the powers of two that LTTng wants", (t) => {
	const size = (rate: number) => buffersFor({ budget: { rate, events: 1 } });
	t.deepEqual(size(4), { size: 2 ** 20, count: 8 });
	t.deepEqual(size(4.2), { size: 2 ** 21, count: 8 });
	t.deepEqual(size(0.001), { size: 2 ** 17, count: 8 });
	t.deepEqual(size(1000), { size: 2 ** 24, count: 8 });
});

test("a session gets a profile's events in order, and the clock's, where it is not one of them", (t) => {
	const profile = {
		...loadProfile("block-io"),
		qemu: { virtio_notify: "why", "blk_*": "why" },
		guest: { block_rq_issue: "why", block_rq_complete: "why" },
		host: {},
	};
	t.deepEqual(sessionInputs(profile), {
		qemu: "qemu:blk_*\nqemu:virtio_notify\nqemu:memory_region_ops_write addr == 2592",
		guest: "block_rq_complete\nblock_rq_issue",
		host: "",
		size: "1048576",
		count: "8",
	});
	t.is(sessionInputs({ ...profile, qemu: { "memory_*": "why" } }).qemu, "qemu:memory_*");
	const guests = sessionInputs(profile, ["guest"]);
	t.deepEqual(
		[guests.qemu, guests.guest],
		["qemu:memory_region_ops_write addr == 2592", "block_rq_complete\nblock_rq_issue"],
	);
});
