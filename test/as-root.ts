import test from "ava";

const isRoot = process.geteuid?.() === 0;

/** A test of what only root may do, one after the other; where the tests are somebody else's it is skipped. */
export const asRoot = isRoot ? test.serial : test.serial.skip;

/** What the title of such a test ends with, so that a skipped one says why. */
export const why = isRoot ? "" : " (skipped: needs root)";
