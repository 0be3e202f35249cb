import { readdirSync, readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { ScratchHost } from "./run-step.ts";

const folder = new URL("../../kconfig/", import.meta.url);
const names = readdirSync(folder);

for (const name of names) {
	const lines = readFileSync(new URL(name, folder), "utf8").trimEnd().split("\n");
	const asked = lines.filter((line) => line.startsWith("CONFIG_"));

	test(`each line of ${name} has its why`, (t) => {
		for (const [index, line] of lines.entries()) {
			if (line.startsWith("CONFIG_")) t.regex(lines[index - 1] ?? "", /^# \S.*[.:…]$/, line);
			else t.regex(line, /^(#.*)?$/, line);
		}
	});

	test(`no symbol is in ${name} twice`, (t) => {
		const symbols = asked.map((line) => line.split("=")[0]);
		t.deepEqual(symbols, [...new Set(symbols)]);
		for (const line of asked) t.regex(line, /^CONFIG_[A-Z0-9_]+=([yn]|\d+)$/);
	});
}

test("a kernel on quickstart can be debugged, traced and probed", (t) => {
	const text = readFileSync(new URL("quickstart.config", folder), "utf8");
	for (const line of [
		...["DEBUG_INFO_DWARF5=y", "GDB_SCRIPTS=y", "RANDOMIZE_BASE=n", "KPROBES=y", "UPROBES=y", "FTRACE_SYSCALLS=y"],
		...["RELAY=y", "DEBUG_FS=y", "MODULE_UNLOAD=y", "9P_FS=y", "VIRTIO_CONSOLE=y", "SERIAL_8250_CONSOLE=y"],
	])
		t.true(text.includes(`\nCONFIG_${line}\n`), line);
});

const tree = {
	Kconfig: `
config PLAIN
	bool "Plain"
config HIDDEN
	bool
config CHOOSER
	bool "Chooser"
	select HIDDEN
	select PLAIN if X
choice
	prompt "One of"
config THIS
	bool "This"
	depends on EXPERT
config THAT
	bool "That"
endchoice
menu "Things"
	depends on THINGS
if MORE
menuconfig NESTED
	tristate "Nested"
	depends on A || B
endif
endmenu
config AFTER
	int "After"
	default 5
menu "Drivers"
	depends on IO
if BUS
source "drivers/Kconfig"
endif
endmenu
source "arch/$(SRCARCH)/Kconfig"
config LAST
	bool "Last"
`,
	"drivers/Kconfig": `
config CORE
	bool "Core"
if CORE
	source "drivers/card/Kconfig" # as people write it
endif
`,
	"drivers/card/Kconfig": 'config CARD\n\ttristate "Card"\n\tdepends on SLOT\n',
	"drivers/nobodys/Kconfig": 'config NOBODYS\n\tbool "Nobody\'s"\n',
	"arch/x86/Kconfig": "config PLAIN\n\tbool\n\tdepends on X86\n",
	"arch/arm/Kconfig": "config PLAIN\n\tbool\n\tdepends on ARM\n",
};

function facts(t: ExecutionContext, symbol: string): Promise<string[]> {
	const scratch = new ScratchHost();
	t.teardown(() => scratch.clean());
	for (const [path, text] of Object.entries(tree)) scratch.write(`linux/${path}`, text);
	return scratch
		.library("kconfig", `kconfig_facts "$root/linux" ${symbol} | sed 's/\\t/ /; s/ $//' >&2`)
		.then(({ stderr }) => (stderr === "" ? [] : stderr.split("\n").sort()));
}

for (const [symbol, said] of [
	["PLAIN", ["found", "hidden", "needs X86", "selected CHOOSER"]],
	["HIDDEN", ["found", "hidden", "selected CHOOSER"]],
	["THIS", ["choice", "found", "needs EXPERT"]],
	["NESTED", ["found", "needs A || B", "needs MORE", "needs THINGS"]],
	["AFTER", ["found"]],
	["CARD", ["found", "needs BUS", "needs CORE", "needs IO", "needs SLOT"]],
	["LAST", ["found"]],
	["NOBODYS", []],
	["NOWHERE", []],
] as const) {
	test(`Kconfig says of ${symbol}: ${said.join(", ") || "nothing"}`, async (t) => {
		t.deepEqual(await facts(t, symbol), [...said]);
	});
}
