/** What failed, why, and what to do; set-up prints it and the log's name, and no stack trace. */
export class SetupError extends Error {
	override readonly name = "SetupError";
	readonly advice: string;

	constructor(what: string, advice: string) {
		super(what);
		this.advice = advice;
	}
}
