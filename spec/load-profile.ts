import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { checkedYaml } from "./checked-yaml.ts";
import { didYouMean } from "./did-you-mean.ts";
import { namePattern } from "./fields.ts";
import { profileJsonSchema } from "./json-schema.ts";
import { type Profile, profileSchema } from "./profile.ts";
import { quote } from "./quote.ts";
import { shownPath } from "./read-stack-chain.ts";
import { type Fault, StackFileError } from "./stack-file-error.ts";

const ownRoot = fileURLToPath(new URL("..", import.meta.url));

/** A profile that cannot be used: all that is wrong with it, with where, and what to do. */
export class ProfileError extends StackFileError {
	override readonly name = "ProfileError";
}

/** Names of the profiles in a folder, in order. */
export function profileNames(folder: string = join(ownRoot, "profiles")): string[] {
	try {
		return readdirSync(folder)
			.filter((file) => file.endsWith(".yaml"))
			.map((file) => file.slice(0, -".yaml".length))
			.filter((name) => namePattern.test(name))
			.sort();
	} catch {
		return [];
	}
}

/** That there is no such profile, and which there are. */
export function unknownProfile(name: string, there: readonly string[]): Fault {
	return {
		message: `there is no profile ${quote(name)}${didYouMean(name, there)}`,
		hint: there.length === 0 ? "there are none at all" : `the profiles there are: ${there.join(", ")}`,
	};
}

/**
 * Reads and checks profiles/NAME.yaml.
 *
 * @param projectRoot where profiles/ is; by default this project's root
 * @throws ProfileError with all that is wrong
 */
export function loadProfile(name: string, projectRoot: string = ownRoot): Profile {
	const root = resolve(projectRoot);
	const folder = join(root, "profiles");
	const path = join(folder, `${name}.yaml`);
	const rules = {
		schema: profileSchema,
		json: profileJsonSchema(),
		notAMap: { message: "a profile is a map of keys", hint: "start from a copy of profiles/block-io.yaml" },
	};
	const checked = namePattern.test(name) ? checkedYaml(path, shownPath(path, root), rules) : undefined;
	if (checked === undefined) {
		const place = { file: shownPath(folder, root), line: 0, column: 0, path: "" };
		throw new ProfileError([{ ...place, ...unknownProfile(name, profileNames(folder)) }]);
	}
	if ("problems" in checked) throw new ProfileError(checked.problems);
	return { ...checked.value, name };
}
