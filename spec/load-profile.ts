import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { didYouMean } from "./did-you-mean.ts";
import { namePattern } from "./fields.ts";
import { located } from "./finding.ts";
import { profileJsonSchema } from "./json-schema.ts";
import { plain } from "./located.ts";
import { type Profile, profileSchema } from "./profile.ts";
import { quote } from "./quote.ts";
import { shownPath } from "./read-stack-chain.ts";
import { readYaml } from "./read-yaml.ts";
import { schemaFindings } from "./schema-findings.ts";
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
	const file = shownPath(path, root);
	const refuse = (fault: Fault, place = { file, line: 0, column: 0 }): never => {
		throw new ProfileError([{ ...place, path: "", ...fault }]);
	};
	const yaml = namePattern.test(name) ? readYaml(path, file) : undefined;
	if (yaml === undefined)
		return refuse(unknownProfile(name, profileNames(folder)), { file: shownPath(folder, root), line: 0, column: 0 });
	if (yaml.root === undefined) throw new ProfileError(yaml.problems);
	if (yaml.root.content.kind !== "map") {
		return refuse(
			{ message: "a profile is a map of keys", hint: "start from a copy of profiles/block-io.yaml" },
			yaml.root.place,
		);
	}
	const value = plain(yaml.root);
	const result = profileSchema.safeParse(value);
	const findings = result.success ? [] : schemaFindings(result.error.issues, value, profileJsonSchema());
	const problems = [...yaml.problems, ...located(yaml.root, findings)];
	if (!result.success || problems.length > 0) {
		throw new ProfileError(problems.sort((a, b) => a.line - b.line || a.column - b.column));
	}
	return { ...result.data, name };
}
