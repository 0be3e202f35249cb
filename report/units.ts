// Used by the page's script as well: what both write looks the same.

/** A space that keeps a number and its unit on one line. */
export const thin = "\u202f";

/** 812 ns, 4.21 µs, 13.0 ms, 1.23 s: three digits. */
export function timeText(nanoseconds: number): string {
	if (nanoseconds < 0) return `−${timeText(-nanoseconds)}`;
	for (const [unit, size] of timeUnits) {
		const value = nanoseconds / size;
		// 999.96 µs would be shown as 1000 µs.
		if (value < 999.5 || unit === "s") return `${threeDigits(value, size === 1)}${thin}${unit}`;
	}
	return "";
}

const timeUnits = [
	["ns", 1],
	["µs", 1e3],
	["ms", 1e6],
	["s", 1e9],
] as const;

function threeDigits(value: number, whole: boolean): string {
	if (whole && Number.isInteger(value)) return String(value);
	if (value >= 1000) return countText(value);
	return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

/** 1 234 567: thousands apart. */
export function countText(value: number): string {
	return Math.round(value)
		.toString()
		.replace(/\B(?=(\d{3})+$)/g, thin);
}

/** 12, 4.2 k, 1.3 M: for axes. */
export function shortCount(value: number): string {
	for (const [unit, size] of [
		["M", 1e6],
		["k", 1e3],
	] as const) {
		if (Math.abs(value) >= size) return `${Number((value / size).toPrecision(3))}${thin}${unit}`;
	}
	return String(Number(value.toPrecision(3)));
}

/** 812 B, 1.4 MB: powers of ten. */
export function sizeText(bytes: number): string {
	const units = ["B", "kB", "MB", "GB", "TB"];
	let [value, unit] = [bytes, 0];
	while (value >= (unit === 0 ? 1000 : 999.95) && unit < units.length - 1) {
		value /= 1000;
		unit++;
	}
	return `${unit === 0 ? value : value.toFixed(1)}${thin}${units[unit]}`;
}

/** 12.345 678 901 s: an instant to the nanosecond. */
export function instantText(nanoseconds: number): string {
	if (nanoseconds < 0) return `−${instantText(-nanoseconds)}`;
	const whole = Math.floor(nanoseconds / 1e9);
	const rest = String(Math.round(nanoseconds - whole * 1e9)).padStart(9, "0");
	return `${whole}.${rest.replace(/(\d{3})(?=\d)/g, `$1${thin}`)}${thin}s`;
}
