import test from "ava";
import fc from "fast-check";
import { buildsAreWhole } from "./builds.ts";
import { difference, hostState } from "./host-state.ts";
import {
	declare,
	edit,
	type Instant,
	killedInDeletion,
	killedInStep,
	killIn,
	left,
	longBuilds,
	seed,
	type Verb,
	type Victim,
	victimsOf,
	works,
} from "./kills.ts";
import { lab, killed as stack } from "./proof.ts";

// Whatever dies, whenever: one more up, or destroy, finishes the job.
//     TRACELAB_KILL_ROUNDS=20 TRACELAB_KILL_SEED=7 scripts/test host
const rounds = Number(process.env["TRACELAB_KILL_ROUNDS"] ?? 2);

/** In each round. Of two rounds each victim has its turn. */
const kills = { up: longBuilds ? 6 : 3, destroy: 3 };

/** Who is killed in all rounds: everybody in an order of chance, then everybody in another. */
function turns(verb: Verb): Victim[] {
	const all = victimsOf(verb);
	const many = rounds * kills[verb];
	const orders = fc.shuffledSubarray(all, { minLength: all.length });
	return fc
		.sample(orders, { seed, numRuns: Math.ceil(many / all.length) })
		.flat()
		.slice(0, many);
}

/** How long each run of a round goes until the kill, as parts of what the whole takes: each goes on from where the last one was cut off. */
function shares(verb: Verb): number[][] {
	const percents = fc.noBias(
		fc.array(fc.integer({ min: 0, max: 99 }), { minLength: kills[verb], maxLength: kills[verb] }),
	);
	return fc.sample(percents, { seed, numRuns: rounds }).map((drawn) => {
		const sorted = drawn.toSorted((one, two) => one - two);
		return sorted.map((percent, index) => (percent - (sorted[index - 1] ?? 0)) / 100);
	});
}

/** After so many seconds; where nobody came any more, after half of them, and so on. */
const after = (wait: number): Instant[] =>
	[1, 1 / 2, 1 / 4, 1 / 8, 0].map((part) => (_, seconds) => seconds >= part * wait);

/**
 * What the host is, but for daemons, which were killed, for what only they can tell, and for the folder of runs, which verify takes along
 * with its own where that was the last.
 */
const filesAndBooks = () =>
	hostState().filter((fact) => !/^(name|daemon|listener|domain|pool|network) | \/var\/lib\/tracelab\/runs /.test(fact));

const ownBuilds = (name: string) => `qemu: { main: { configure: ["--extra-cflags=-DKILLED=${name}"] } }
kernels: { main: { config: ['CONFIG_LOCALVERSION="-${name}"'] } }
`;

test("killed anywhere in an up or a destroy, at random: the next one finishes it", async (t) => {
	declare();
	// Both builds at once, where nothing of them is there, take some 600 s on two cores.
	const usual = longBuilds
		? { up: 600, destroy: 10 }
		: { up: await works(t, "up"), destroy: await works(t, "destroy", "--yes") };
	t.is(left(), "");
	const before = filesAndBooks();
	const drawn = { up: turns("up"), destroy: turns("destroy") };
	const waits = { up: shares("up"), destroy: shares("destroy") };
	const hit: Record<Verb, Victim[]> = { up: [], destroy: [] };
	for (let round = 0; round < rounds; round++) {
		if (longBuilds) declare(ownBuilds(`killed-${seed}-${round}-${Date.now()}`));
		for (const verb of ["up", "destroy"] as const) {
			for (const share of waits[verb][round] ?? []) {
				const victim = drawn[verb][hit[verb].length];
				if (victim === undefined) return t.fail(`too few turns for ${rounds} rounds`);
				const something = () => edit(`${seed}.${round}, for ${victim}, ${Date.now()}`);
				if (verb === "up") something();
				const again = () => (verb === "up" ? something() : works(t, "up"));
				await killIn(t, verb, victim, after(share * usual[verb]), again);
				hit[verb].push(victim);
			}
			if (verb === "up") {
				edit(`${seed}.${round}, in a step`);
				await killedInStep(t);
				await works(t, "up");
				await works(t, "preview", "--", "--expect-no-changes");
				await works(t, "verify");
				buildsAreWhole(t, stack);
			} else {
				await works(t, "destroy", "--yes");
				t.is(left(), "");
				t.deepEqual(difference(before, filesAndBooks()), []);
			}
		}
	}
	for (const verb of ["up", "destroy"] as const) {
		const all = victimsOf(verb);
		t.is(hit[verb].length, rounds * kills[verb]);
		if (hit[verb].length >= all.length) t.deepEqual([...new Set(hit[verb])].sort(), all.sort());
	}
	// The daemons were killed under the lab beside it, too.
	const { code, all: said } = await lab("up");
	t.is(code, 0, said);
});

test("a destroy that is killed as libvirt forgets the domain is finished, and so is an up behind it", async (t) => {
	declare();
	for (const next of [["destroy", "--yes"], ["up"]]) {
		await works(t, "up");
		await killedInDeletion(t);
		await works(t, ...next);
	}
	await works(t, "preview", "--", "--expect-no-changes");
	await works(t, "destroy", "--yes");
	t.is(left(), "");
});
