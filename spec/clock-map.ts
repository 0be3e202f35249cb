/** What holds of the two clocks over an interval of the guest's. All times are relative to the fit's reference. */
export interface ClockPiece {
	/** The guest's time where it begins and ends, in nanoseconds. */
	readonly from: number;
	readonly to: number;
	/** The host's time less the guest's at `from`, in nanoseconds. */
	readonly offset: number;
	/** By how much the host's clock runs faster than the guest's, in parts per million. */
	readonly drift: number;
	/** The host's time of an instant of the guest's differs from what the piece says by at most so many nanoseconds. */
	readonly bound: number;
	/** How many pairs it comes from: none for the time between two lines, in which one became the other. */
	readonly pairs: number;
	/** What happened to the clocks before this piece. */
	readonly change?: ClockChange;
}

/** How one line became another. */
export interface ClockChange {
	/** How far the host's clock less the guest's jumped, in nanoseconds, and how well that is known. */
	readonly step: number;
	readonly stepBound: number;
	/** Change of the drift, in parts per million. */
	readonly drift: number;
	/** What that looks like. */
	readonly cause: string;
}

/** Puts instants of a guest's clock on the host's; both in nanoseconds relative to the fit's reference. */
export class ClockMap {
	readonly #pieces: readonly ClockPiece[];
	#at = 0;

	constructor(pieces: readonly ClockPiece[]) {
		this.#pieces = pieces;
	}

	/** The host's time of an instant of the guest's. */
	hostTime(guest: number): number {
		return guest + this.offset(guest);
	}

	/** The host's time less the guest's. */
	offset(guest: number): number {
		const { from, offset, drift } = this.#piece(guest);
		return offset + (drift * (guest - from)) / 1e6;
	}

	/** What the offset is known to, in nanoseconds; nothing outside the time that the fit covers. */
	bound(guest: number): number | undefined {
		const { from, to, bound } = this.#piece(guest);
		return guest >= from && guest <= to ? bound : undefined;
	}

	/** Events come in the order of their times, mostly: the piece is that of the last one, or near it. */
	#piece(guest: number): ClockPiece {
		const pieces = this.#pieces;
		while (this.#at > 0 && guest < (pieces[this.#at]?.from ?? 0)) this.#at--;
		while (this.#at < pieces.length - 1 && guest > (pieces[this.#at]?.to ?? 0)) this.#at++;
		const piece = pieces[this.#at];
		if (piece === undefined) throw new RangeError("a fit has at least one piece");
		return piece;
	}
}
