import { readFileSync, writeFileSync } from "node:fs";
import test from "ava";
import { patient, ScratchLab } from "./scratch-lab.ts";

// One at a time: each starts Node, and thirty at once would take a small machine a quarter of a minute.
const lab = await ScratchLab.make();
lab.up();
test.beforeEach(patient);

test.after.always(() => lab.clean());

// UPDATE_GOLDEN=1 writes the texts of --help anew; read them before they are committed.

const helps = test.macro({
	title: (_, args: string[]) => `./lab ${args.join(" ")} says what there is`,
	async exec(t, args: string[], golden: string) {
		const { code, stdout, stderr } = await lab.lab(args);
		const file = `${import.meta.dirname}/golden/${golden}.txt`;
		if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, `${stdout}\n`);
		t.deepEqual({ code, stderr }, { code: 0, stderr: "" });
		t.is(`${stdout}\n`, readFileSync(file, "utf8"));
	},
});

test.serial(helps, ["--help"], "help");
test.serial(helps, ["exec", "--help"], "help-exec");

test.serial("--version is that of the package", async (t) => {
	t.deepEqual(await lab.lab(["--version"]), { code: 0, stdout: "0.1.0", stderr: "" });
});

test.serial("no command at all shows the help, as an error", async (t) => {
	const { code, stdout, stderr } = await lab.lab([]);
	t.deepEqual({ code, stdout }, { code: 2, stdout: "" });
	t.is(`${stderr}\n`, readFileSync(`${import.meta.dirname}/golden/help.txt`, "utf8"));
});

const hint = "\n(./lab --help shows the commands)";

const misused = test.macro({
	title: (_, args: string[]) => `./lab ${args.join(" ")} is no use of it`,
	async exec(t, args: string[], stderr: string) {
		t.deepEqual(await lab.lab(args), { code: 2, stdout: "", stderr });
	},
});

test.serial(misused, ["frobnicate"], `error: unknown command 'frobnicate'${hint}`);
test.serial(misused, ["doctr"], `error: unknown command 'doctr'\n(Did you mean doctor?)${hint}`);
test.serial(misused, ["--frob", "ls"], `error: unknown option '--frob'${hint}`);
test.serial(misused, ["ls", "--jsn"], `error: unknown option '--jsn'\n(Did you mean --json?)${hint}`);
test.serial(misused, ["ls", "vm"], `error: too many arguments for 'ls'. Expected 0 arguments but got 1: vm.${hint}`);
test.serial(misused, ["exec"], `error: missing required argument 'domain'${hint}`);
test.serial(misused, ["exec", "vm"], `error: missing required argument 'command'${hint}`);
test.serial(
	misused,
	["exec", "vm", "--"],
	"lab: there is no command behind the --\n  what to do: for example: ./lab exec vm -- uname -a",
);
test.serial(misused, ["cp", "a"], `error: missing required argument 'dst'${hint}`);
test.serial(misused, ["-s"], `error: option '-s, --stack <name>' argument missing${hint}`);
test.serial(
	misused,
	["exec", "-t", "soon", "vm", "true"],
	`error: option '-t, --timeout <seconds>' argument 'soon' is invalid. It is a number of seconds over 0.${hint}`,
);
test.serial(
	misused,
	["exec", "-t", "0", "vm", "true"],
	`error: option '-t, --timeout <seconds>' argument '0' is invalid. It is a number of seconds over 0.${hint}`,
);
test.serial(
	misused,
	["gc", "--older-than", "2"],
	`error: option '--older-than <time>' argument '2' is invalid. It is a number of hours or days, such as 12h or 14d.${hint}`,
);
test.serial(
	misused,
	["exec", "vm", "-t", "5", "--", "true"],
	'lab: "-t" is no program\n  what to do: options stand before the domain: ./lab exec -t … DOMAIN COMMAND',
);
test.serial(
	misused,
	["record", "vm", "--name", "one", "true"],
	'lab: "--name" is no program\n  what to do: options stand before the domain: ./lab record --name … DOMAIN COMMAND',
);
test.serial(
	misused,
	["exec", "hled", "true"],
	'lab: the lab of stack "quickstart" has no domain "hled" (did you mean "held"?)\n  what to do: its domains: held, vm',
);
test.serial(
	misused,
	["cp", "a", "b"],
	"lab: exactly one of SRC and DST is DOMAIN:PATH\n  what to do: for example: ./lab cp trace.sh vm:/root/",
);
test.serial(
	misused,
	["-s", "../quickstart", "ls"],
	'lab: there is no stack "../quickstart" (did you mean "quickstart"?)\n  what to do: a stack\'s name has at most 31 of a-z, 0-9 and -, first a letter, last no dash',
);

const stacks = test.macro({
	title: (_, how: string) => `the stack is that ${how}`,
	async exec(t, _how: string, args: string[], env: Record<string, string>, stack: string, command: string) {
		const down = { TRACELAB_ROOT: `${lab.root}/down`, ...env };
		const stderr = `lab: the lab of stack "${stack}" is not up\n  what to do: bring it up: ${command}`;
		t.deepEqual(await lab.lab(args, down), { code: 1, stdout: "", stderr });
	},
});

test.serial(stacks, "of the quick start", ["ls"], {}, "quickstart", "./lab up");
test.serial(stacks, "before the command", ["-s", "debug", "ls"], {}, "debug", "./lab -s debug up");
test.serial(stacks, "after the command", ["ls", "--stack", "debug"], {}, "debug", "./lab -s debug up");
test.serial(
	stacks,
	"in front of a guest's command",
	["exec", "-s", "debug", "vm", "ls"],
	{},
	"debug",
	"./lab -s debug up",
);
test.serial(stacks, "and not a guest command's own", ["exec", "vm", "ls", "-s", "debug"], {}, "quickstart", "./lab up");
test.serial(stacks, "and not gdb's own", ["gdb", "vm", "-s", "debug"], {}, "quickstart", "./lab up");
test.serial(stacks, "of the environment", ["ls"], { TRACELAB_STACK: "debug" }, "debug", "./lab up");
test.serial(
	stacks,
	"of the command line, whatever the environment says",
	["-s", "quickstart", "ls"],
	{ TRACELAB_STACK: "debug" },
	"quickstart",
	"./lab -s quickstart up",
);
test.serial(
	stacks,
	"of the quick start where the environment has an empty one",
	["ls"],
	{ TRACELAB_STACK: "" },
	"quickstart",
	"./lab up",
);

test.serial("env prints the exports, for a PATH that lacks them", async (t) => {
	const { code, stdout } = await lab.lab(["env"], { PULUMI_CONFIG_PASSPHRASE: "mine" });
	t.is(code, 0);
	t.regex(
		stdout,
		/^export PULUMI_HOME=\S+\/\.pulumi\nexport PULUMI_SKIP_UPDATE_CHECK=true\nexport GIT_OPTIONAL_LOCKS=0\nexport NODE_COMPILE_CACHE=\S+$/,
	);
});
