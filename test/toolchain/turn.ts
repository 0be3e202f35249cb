// A file's tests all begin at once; many processes at once make each of them slow.
let free = 3;
const waiting: (() => void)[] = [];

/** Waits for one's turn; the function returned is the next one's. */
export async function turn(): Promise<() => void> {
	if (free > 0) free--;
	else await new Promise<void>((resolve) => waiting.push(resolve));
	return () => {
		const next = waiting.shift();
		if (next === undefined) free++;
		else next();
	};
}
