import type { ScratchHost } from "./run-step.ts";

/** The one domain that the fake libvirt knows. */
export const domain = "quick-vm";
export const folder = `/var/lib/tracelab/domains/${domain}`;
export const buildId = "ab".repeat(20);

/** What a domain's QEMU and kernel turn out to be when it starts. */
export interface Guest {
	emulator: string;
	process: string;
	/** Build-id of the kernel, 40 hexadecimal digits. */
	buildId: string;
}

export const emulator = "/opt/tracelab/qemu/0123456789abcdef/bin/qemu-system-x86_64";
const guest: Guest = { emulator, process: "vm", buildId };

/**
 * A libvirt with one domain, its state in files below `virt/` of the scratch root, the files of its guest below
 * `guest/`. These files in `virt/` say what goes on:
 *
 *     off       libvirtd does not answer       silent    the guest agent does not answer
 *     defined   the domain's definition        deaf      the agent answers a ping, and nothing else
 *     state     as virsh domstate says it      slow      a command in the guest ends after some looks
 *     taken     ss's line of whoever has the gdb port, who goes if another domain is destroyed
 *     broken    why the domain does not start  debugged  a debugger is connected to the gdbstub
 *     busy/X    module X cannot be unloaded    hangs     the agent answers after no start
 *     says      what a start has the console say, whose agent does not answer then
 *     dies      a domain that was started has crashed
 *     reason    as virsh domstate --reason says it
 *     used/X    a program uses module X        needs/X   the modules that module X needs
 */
export function fakeGuest(scratch: ScratchHost, made: Partial<Guest> = {}): void {
	scratch.write("virt/defined", "<domain>\n  <name>quick-vm</name>\n</domain>\n");
	scratch.write("virt/state", "shut off\n");
	becomes(scratch, made);
	scratch.fake("virsh", `v=$root/virt p=$root/run/libvirt/qemu/${domain}.pid\n${virsh}`);
	scratch.fake("ss", ss);
	scratch.fake("modprobe", modprobe);
	scratch.fake("rmmod", rmmod);
	scratch.fake(
		"readelf",
		`shift; for file; do [ $# = 1 ] || printf '\\nFile: %s\\n' "$file"; [ ! -e "$file" ] || printf '    Build ID: %s\\n' "$(cat "$file")"; done`,
	);
}

/** Makes the next start turn out so. */
export function becomes(scratch: ScratchHost, made: Partial<Guest>): void {
	const all = { ...guest, ...made };
	scratch.write("virt/emulator", `${all.emulator}\n`);
	scratch.write("virt/process", `${all.process}\n`);
	scratch.write("virt/kernel", `${all.buildId}\n`);
}

/** Puts a built module in its prefix and into the guest's tree; its text stands for its build-id. */
export function installModule(scratch: ScratchHost, name: string, id: string, prefix: string): void {
	scratch.write(`${prefix}/${name}.ko`, `${id}\n`);
	scratch.write(`${folder}/root/lib/modules/6.1.9/extra/${name}.ko`, `${id}\n`);
}

const binary = (hex: string) => `printf '%b' "$(printf %s "${hex}" | sed 's/../\\\\x&/g')"`;
/** A GNU note: sizes of name and text, the type, "GNU". */
const note = "040000001400000003000000474e5500";

// No process has such a number: who ends what a pid file names ends nothing.
const beyondPids = 4_194_304;

const virsh = `
[ ! -e "$v/off" ] || { echo 'error: failed to connect to the hypervisor' >&2; exit 1; }
[ "$1 $2 $3" = '--quiet --connect qemu:///system' ] || exit 96
shift 3
# Several commands in one argument are run one after the other, as the real one does, with the last one's status.
if [[ $1 == *';'* ]]; then
	IFS=';' read -ra commands <<<"$1"
	for command in "\${commands[@]}"; do eval "$0 --quiet --connect qemu:///system $command" && code=0 || code=$?; done
	exit $code
fi
# /proc/modules, of what is in /sys.
loaded() {
	for at in "$root"/guest/sys/module/*/; do
		[ -e "$at" ] || continue
		name=$(basename "$at") users=$(ls "$at/holders" 2>/dev/null) uses=$(ls -d "$at/holders"/* "$v/used/$name" 2>/dev/null | wc -l)
		echo "$name 16384 $uses $(printf '%s,' $users | sed 's/^,$/-/') Live 0x0000000000000000 (O)"
	done
}
known() { [ -e "$v/defined" ] || { echo "error: failed to get domain '$1'" >&2; exit 1; }; }
case $1 in
uri) echo qemu:///system ;;
list) ;;
dominfo) known "$2" ;;
domstate) known "\${*: -1}"; state=$(cat "$v/state")
	if [ "$2" != --reason ]; then echo "$state"; else echo "$state ($(cat "$v/reason" 2>/dev/null || echo destroyed))"; fi ;;
dumpxml) known "$3"; [ "$2" = --inactive ] && cat "$v/defined" ;;
define) grep -q '<domain>' "$2" || { echo 'error: (domain_definition):1: Document is empty' >&2; exit 1; }
	cp "$2" "$v/defined"; [ -e "$v/state" ] || echo 'shut off' >"$v/state" ;;
start) known "$2"
	[ ! -e "$v/broken" ] || { echo "error: $(cat "$v/broken")" >&2; exit 1; }
	rm -f "$v/silent"
	n=$(($(cat "$v/starts" 2>/dev/null || echo 0) + 1)); echo $n >"$v/starts"
	pid=$((${beyondPids} + n))
	mkdir -p "\${p%/*}" "$root/proc/$pid" "$root/guest/sys/kernel"
	echo $pid >"$p"; ln -s "$(cat "$v/emulator")" "$root/proc/$pid/exe"; cp "$v/process" "$root/proc/$pid/comm"
	echo $pid >"$v/listens"
	${binary(`${note}$(cat "$v/kernel")`)} >"$root/guest/sys/kernel/notes"
	rm -rf "$root/guest/sys/module"
	if [ -e "$v/says" ]; then mkdir -p "$root/var/log/tracelab/quick"; cat "$v/says" >>"$root/var/log/tracelab/quick/console-vm.log"; touch "$v/silent"; fi
	if [ "\${3:-}" = --paused ]; then echo paused >"$v/state"; else echo running >"$v/state"; fi
	if [ -e "$v/dies" ]; then echo 'shut off' >"$v/state"; echo crashed >"$v/reason"; fi ;;
destroy) [ "$2" = ${domain} ] || { rm "$v/taken"; exit; }
	rm -rf "$root/proc"; rm -f "$p" "$v/listens" "$v/debugged"; echo 'shut off' >"$v/state" ;;
resume) echo running >"$v/state" ;;
qemu-agent-command)
	request=\${*: -1} command=$(jq -r .execute <<<"\${*: -1}")
	no() { echo 'error: Guest agent is not responding: QEMU guest agent is not connected' >&2; exit 1; }
	[ "$(cat "$v/state")" = running ] && [ ! -e "$v/silent" ] && [ ! -e "$v/hangs" ] || no
	[ "$command" = guest-ping ] || [ ! -e "$v/deaf" ] || no
	case $command in
	guest-ping) echo '{"return":{}}' ;;
	guest-file-open)
		path=$root/guest$(jq -r .arguments.path <<<"$request")
		[ "$path" != "$root/guest/proc/modules" ] || { path=$own/modules; loaded >"$path"; }
		[ -e "$path" ] || { echo "error: internal error: unable to execute QEMU agent command 'guest-file-open': failed to open file '$path' (mode: 'r'): No such file or directory" >&2; exit 1; }
		echo "$path" >"$own/open"; echo '{"return":1000}' ;;
	guest-file-read)
		[ "$(jq .arguments.handle <<<"$request")" = 1000 ] && [ -e "$own/open" ] || no
		printf '{"return":{"count":%s,"buf-b64":"%s","eof":true}}\\n' "$(stat -c %s "$(cat "$own/open")")" "$(base64 -w0 "$(cat "$own/open")")" ;;
	guest-file-close) rm "$own/open"; echo '{"return":{}}' ;;
	guest-exec)
		mapfile -d '' arg < <(jq -j '.arguments | .path, .arg[] | . + "\\u0000"' <<<"$request")
		script=\${arg[2]//\\/sys\\//$root/guest/sys/}
		in_guest=1 "\${arg[@]:0:2}" "\${script//\\/lab\\//$root/guest/lab/}" "\${arg[@]:3}" >"$own/out" 2>"$own/err"
		echo $? >"$own/code"; rm -f "$own/looks"; echo '{"return":{"pid":7}}' ;;
	guest-exec-status)
		[ "$(jq .arguments.pid <<<"$request")" = 7 ] || no
		echo look >>"$own/looks"
		if [ -e "$v/slow" ] && [ "$(wc -l <"$own/looks")" -lt 3 ]; then echo '{"return":{"exited":false}}'; exit; fi
		code=$(cat "$own/code")
		if [ "$code" -gt 128 ]; then end="\\"signal\\":$((code - 128))"; else end="\\"exitcode\\":$code"; fi
		data() { [ ! -s "$2" ] || printf ',"%s":"%s"' "$1" "$(base64 -w0 "$2")"; }
		echo "{\\"return\\":{\\"exited\\":true,$end$(data out-data "$own/out")$(data err-data "$own/err")}}" ;;
	*) no ;;
	esac ;;
*) exit 97 ;;
esac`;

// Only what the real one understands: a state stands before the expression.
const ss = `
case $* in
'-Hltnp src 127.0.0.1:1234') [ ! -e "$root/virt/listens" ] ||
	echo "LISTEN 0 1 127.0.0.1:1234 0.0.0.0:* users:((\\"qemu\\",pid=$(cat "$root/virt/listens"),fd=9))" ;;
'-Htn state established src 127.0.0.1:1234') [ ! -e "$root/virt/debugged" ] || echo '0 0 127.0.0.1:1234 127.0.0.1:40000' ;;
'-Hltnp sport = :1234') [ ! -e "$root/virt/taken" ] || cat "$root/virt/taken" ;;
*) echo "ss: cannot parse $*" >&2; exit 1 ;;
esac`;

// It finds my-module.ko by either name.
const modprobe = `
load() {
	local name file at need
	name=$(echo "$1" | tr - _)
	at=$root/guest/sys/module/$name
	[ ! -e "$at" ] || return 0
	file=$(ls "$root${folder}"/root/lib/modules/6.1.9/extra/*.ko | while read -r file; do
		[ "$(basename "$file" .ko | tr - _)" != "$name" ] || echo "$file"
	done)
	[ -e "$file" ] || { echo "modprobe: FATAL: Module $1 not found in directory /lib/modules/6.1.9" >&2; exit 1; }
	for need in $(cat "$root/virt/needs/$name" 2>/dev/null); do
		load "$need"
		mkdir -p "$root/guest/sys/module/$need/holders"
		touch "$root/guest/sys/module/$need/holders/$name"
	done
	mkdir -p "$at/notes"
	${binary(`${note}$(cat "$file")`)} >"$at/notes/.note.gnu.build-id"
}
load "$1"`;

const rmmod = `
at=$root/guest/sys/module/$(echo "$1" | tr - _)
by=$(ls "$at/holders" 2>/dev/null | paste -sd ' ')
[ -z "$by" ] || { echo "rmmod: ERROR: Module $1 is in use by: $by" >&2; exit 1; }
[ ! -e "$root/virt/busy/$1" ] || { echo "rmmod: ERROR: Module $1 is in use" >&2; exit 1; }
rm -r "$at"
rm -f "$root"/guest/sys/module/*/holders/"$(basename "$at")"`;
