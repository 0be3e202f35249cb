import Table from "cli-table3";
import colors from "yoctocolors";

type Colour = "bold" | "dim" | "green" | "red" | "yellow";

/** Colours text where standard output is a terminal that has them. */
export function paint(colour: Colour, text: string): string {
	return process.stdout.isTTY ? colors[colour](text) : text;
}

/** Rows in aligned columns without lines between them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
	const none = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"];
	const more = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
	const made = new Table({
		chars: { ...Object.fromEntries([...none, ...more].map((part) => [part, ""])), middle: "  " },
		style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
	});
	if (head.length > 0) made.push(head.map((text) => paint("bold", text)));
	made.push(...rows.map((row) => [...row]));
	return made
		.toString()
		.split("\n")
		.map((line) => line.trimEnd())
		.join("\n");
}

/** Text in lines of so many characters at most; a word that is longer, such as a path, has a line of its own. */
export function wrapped(text: string, width: number): string[] {
	const lines = [""];
	for (const word of text.split(" ")) {
		const last = lines.at(-1) ?? "";
		if (last === "") lines[lines.length - 1] = word;
		else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
		else lines.push(word);
	}
	return lines;
}

/** 12.3 s, 4 min 05 s, 2 h 03 min. */
export function duration(seconds: number): string {
	// 59.96 would be shown as 60.0 s.
	if (seconds < 59.95) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
	const whole = Math.round(seconds);
	const two = (value: number) => String(value).padStart(2, "0");
	if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
	return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** 3 s ago, 2 h 03 min ago, 16 d ago. */
export function ago(seconds: number): string {
	const whole = Math.max(0, Math.round(seconds));
	const days = Math.floor(whole / 86_400);
	return `${days < 2 ? duration(whole) : `${days} d`} ago`;
}

/** 812 B, 1.4 MB: powers of ten, as `ls -h --si` has them. */
export function size(bytes: number): string {
	const units = ["B", "kB", "MB", "GB", "TB"];
	let value = bytes;
	let unit = 0;
	// 999.95 kB would be shown as 1000.0 kB.
	while (value >= (unit === 0 ? 1000 : 999.95) && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export const say = (text: string): void => {
	process.stderr.write(`${text}\n`);
};

export const print = (text: string): void => {
	process.stdout.write(`${text}\n`);
};
