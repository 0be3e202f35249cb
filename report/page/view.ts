/** No closer than this: below, there is one instant on the screen. */
const closest = 100;

/** The part of the run's time that is seen: what shows time follows it. */
export class View {
	readonly #length: number;
	readonly #followers: (() => void)[] = [];
	#from = 0;
	#to = 0;

	constructor(length: number) {
		this.#length = Math.max(length, closest);
		this.all();
	}

	get from(): number {
		return this.#from;
	}

	get to(): number {
		return this.#to;
	}

	get width(): number {
		return this.#to - this.#from;
	}

	follow(follower: () => void): void {
		this.#followers.push(follower);
	}

	all(): void {
		const margin = this.#length / 100;
		this.#set(-margin, this.#length + margin);
	}

	show(from: number, to: number): void {
		this.#set(from, to);
	}

	/** Makes what is seen so many times as wide, with an instant staying where it is. */
	zoom(factor: number, at: number = (this.#from + this.#to) / 2): void {
		const width = Math.min(Math.max(this.width * factor, closest), this.#length * 1.02);
		const from = at - ((at - this.#from) / this.width) * width;
		this.#set(from, from + width);
	}

	pan(by: number): void {
		this.#set(this.#from + by, this.#to + by);
	}

	#set(from: number, to: number): void {
		const margin = this.#length / 100;
		const width = Math.min(Math.max(to - from, closest), this.#length + 2 * margin);
		this.#from = Math.min(Math.max(from, -margin), this.#length + margin - width);
		this.#to = this.#from + width;
		for (const follower of this.#followers) follower();
	}
}
