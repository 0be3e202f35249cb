import type { ExecutionContext } from "ava";
import { changed } from "./changed.ts";
import { noteDrift } from "./drift-table.ts";
import { bootId, host, lab, pidOf } from "./proof.ts";

export interface Drift {
	/** What somebody does to the host by hand, as a shell script or by itself. */
	byHand: () => string | Promise<void>;
	/** What preview says of it: all of it, and nothing else. */
	said: (string | RegExp)[];
	/** Does the guest go on as it was, without a reboot? */
	guest: "goes on" | "starts again";
	/** Where an up cannot mend it yet: looks at what that says, and takes away what is in its way. */
	refused?: (said: string) => Promise<void>;
}

/** The sentences of drift that a preview prints. */
export function drifts(text: string): string[] {
	return [...new Set([...text.matchAll(/drift: (.*)/g)].map(([, sentence = ""]) => sentence.trim()))].sort();
}

/** Changes the host by hand: preview says what differs, one up mends it, and the next one has nothing to do. */
export async function drifted(
	t: ExecutionContext,
	title: string,
	{ byHand, said, guest, refused }: Drift,
): Promise<void> {
	const [pid, boot] = [pidOf(), await bootId()];
	const script = await byHand();
	if (script !== undefined) host(script);
	const preview = await lab("preview");
	t.is(preview.code, 0, preview.all);
	const sentences = drifts(preview.all);
	t.is(sentences.length, said.length, sentences.join("\n"));
	for (const [index, sentence] of sentences.entries()) {
		const wanted = said[index];
		if (wanted instanceof RegExp) t.regex(sentence, wanted);
		else t.is(sentence, wanted ?? "");
	}
	if (refused !== undefined) {
		const { code, all } = await lab("up");
		t.not(code, 0);
		await refused(all);
	}
	const repair = await lab("up");
	t.is(repair.code, 0, repair.all);
	const after = await lab("preview", "--", "--expect-no-changes");
	t.is(after.code, 0, after.all);
	t.deepEqual(drifts(after.all), []);
	t.is(pidOf() === pid, guest === "goes on");
	t.is((await bootId()) === boot, guest === "goes on");
	noteDrift({ byHand: title, said: sentences, repaired: changed(repair.all), guest });
}
