// One lab on this very host, from nothing to nothing. Tests are registered, and run, in this order.
import "./comes-up.ts";
import "./command-line.ts";
import "./debugging.ts";
import "./edits.ts";
import "./hypervisor.ts";
import "./traces.ts";
import "./reports.ts";
import "./probes.ts";
import "./clocks.ts";
import "./verify.ts";
import "./status.ts";
import "./sources.ts";
import "./drift.ts";
import "./bad-input.ts";
import "./stacks.ts";
import "./killed.ts";
import "./goes-away.ts";
