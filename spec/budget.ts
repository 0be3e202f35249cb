import { z } from "zod";

const amount = (title: string, description: string, most: number, example: number) =>
	z
		.number()
		.positive()
		.max(most)
		.meta({ title, description, examples: [example] });

const rate = amount("rate", "Megabytes a second that one domain should stay below; the buffers follow it.", 1000, 4);
const events = amount("rate of events", "Events a second that one domain should stay below.", 1e8, 50000);

/** What a recording may cost, as a profile has it. */
export const budgetSchema = z.strictObject({ rate, events });

/** The same of one session: what it leaves out is the profile's. */
export const ownBudgetSchema = z.strictObject({ rate: rate.optional(), events: events.optional() });

export type Budget = Readonly<z.output<typeof budgetSchema>>;
export type OwnBudget = Readonly<z.output<typeof ownBudgetSchema>>;

/** What is recorded, at what a session of its own may cost. */
export function withBudget<T extends { readonly budget: Budget }>(profile: T, own: OwnBudget = {}): T {
	const { rate, events } = profile.budget;
	return { ...profile, budget: { rate: own.rate ?? rate, events: own.events ?? events } };
}
