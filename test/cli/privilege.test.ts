import test from "ava";
import { project } from "../../cli/host.ts";
import { sudoArguments } from "../../cli/privilege.ts";

test("another program of the project is named by its path in it", (t) => {
	t.deepEqual(sudoArguments({}, ["host"], "scripts/test"), ["--", `${project}/scripts/test`, "host"]);
});

test("with nothing to keep, sudo gets the command line alone", (t) => {
	t.deepEqual(sudoArguments({ PATH: "/bin", HOME: "/home/me" }, ["up"]), ["--", `${project}/lab`, "up"]);
});

test("the command line is passed as it is", (t) => {
	const args = ["-s", "my stack", "up", "--", "--diff", "it's", ""];
	t.deepEqual(sudoArguments({}, args), ["--", `${project}/lab`, ...args]);
});

const keeps = test.macro({
	title: (_, name: string) => `${name} goes through`,
	exec(t, name: string) {
		t.is(sudoArguments({ [name]: "x" }, [])[0], `--preserve-env=${name}`);
	},
});

for (const name of ["PULUMI_CONFIG_PASSPHRASE", "TRACELAB_STACK", "TERM", "COLORTERM", "NO_COLOR", "CI"])
	test(keeps, name);
for (const name of ["XDG_CACHE_HOME", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"]) test(keeps, name);
for (const name of ["SSH_AUTH_SOCK", "GIT_SSH_COMMAND"]) test(keeps, name);
for (const name of ["http_proxy", "HTTPS_PROXY", "no_proxy", "ALL_PROXY"]) test(keeps, name);

const drops = test.macro({
	title: (_, name: string) => `${name} does not go through`,
	exec(t, name: string) {
		t.deepEqual(sudoArguments({ [name]: "x" }, []), ["--", `${project}/lab`]);
	},
});

for (const name of ["PATH", "HOME", "LD_PRELOAD", "NODE_OPTIONS", "BASH_ENV", "TERMINFO", "MY_TRACELAB_X"])
	test(drops, name);

test("what is kept is in order", (t) => {
	const env = { TRACELAB_STACK: "a", https_proxy: "b", PATH: "c", CI: "d", PULUMI_HOME: "e" };
	t.is(sudoArguments(env, [])[0], "--preserve-env=CI,PULUMI_HOME,TRACELAB_STACK,https_proxy");
});
