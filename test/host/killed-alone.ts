import { existsSync } from "node:fs";
import test from "ava";
import fc from "fast-check";
import { hostPackages } from "../../spec/host-packages.ts";
import { buildsAreWhole } from "./builds.ts";
import { difference, hostState } from "./host-state.ts";
import { declare, during, killIn, left, type Moment, seed, type Verb, type Victim, works } from "./kills.ts";
import { host, skip, killed as stack } from "./proof.ts";

interface Kill {
	moment: Moment;
	/** Who can be there by then. */
	victims: readonly Victim[];
	/** Seconds at most from when the moment is first seen. */
	delay: number;
}

/** What is done once for all labs of a host, in the order in which it comes, and the work on the lab itself. */
const kills: Record<Verb, readonly Kill[]> = {
	up: [
		{ moment: "dpkg is at work", victims: ["all of them"], delay: 2 },
		{ moment: "dpkg is at work", victims: ["the engine", "a step's script"], delay: 1 },
		{
			moment: "a step has the daemons' lock",
			victims: ["the engine", "a step's script", "all of them"],
			delay: 1,
		},
		{
			moment: "the domain boots",
			victims: ["the engine", "libvirtd", "the session daemon", "all of them"],
			delay: 4,
		},
	],
	destroy: [
		{
			moment: "a step is undone",
			victims: ["the engine", "a step's script", "libvirtd", "the session daemon", "all of them"],
			delay: 1,
		},
		{
			moment: "a step has the daemons' lock",
			victims: ["the engine", "a step's script", "all of them"],
			delay: 1,
		},
		{ moment: "dpkg is at work", victims: ["all of them"], delay: 2 },
	],
};

/** Does a lab have to install something? */
function lacksPackages(): boolean {
	const there = host(`dpkg-query -W -f '\${db:Status-Abbrev} \${Package}\\n' | sed -n 's/^.i  //p'`).split("\n");
	return hostPackages.some((name) => !there.includes(name));
}

// What the first lab of a host makes, and the last one gives back, is in no killed run while another lab is up.
test("killed where no lab is up, in what is done once for all labs: the next one finishes it, and the host is as it was", async (t) => {
	if (existsSync("/var/lib/tracelab/ledger"))
		return skip(t, "a lab is up on this host, which keeps packages and daemons");
	const before = hostState();
	const installs = lacksPackages();
	if (!installs) t.log("all packages were there: no kill comes while dpkg is at work");
	declare();
	for (const verb of ["up", "destroy"] as const) {
		const other = verb === "up" ? ["destroy", "--yes"] : ["up"];
		const drawn = kills[verb].flatMap(({ moment, victims, delay }, index) => {
			const one = { victim: fc.constantFrom(...victims), delay: fc.integer({ min: 0, max: delay * 1000 }) };
			return fc
				.sample(fc.noBias(fc.record(one)), { seed: seed + index, numRuns: 1 })
				.map((drew) => ({ moment, ...drew }));
		});
		for (const { moment, victim, delay } of drawn) {
			if (moment === "dpkg is at work" && !installs) continue;
			t.log(`while ${moment}:`);
			const instants = [1, 1 / 2, 0].map((part) => during(moment, (part * delay) / 1000));
			await killIn(t, verb, victim, instants, () => works(t, ...other));
		}
		if (verb === "up") {
			await works(t, "up");
			await works(t, "preview", "--", "--expect-no-changes");
			await works(t, "verify");
			buildsAreWhole(t, stack);
		}
	}
	await works(t, "destroy", "--yes");
	t.is(left(), "");
	t.deepEqual(difference(before, hostState()), []);
});
