// Package local runs commands on this machine. Its name is part of the resources' tokens.
package local

import (
	"os"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Options are what every way of running a command takes, under the official provider's names.
type Options struct {
	Stdin                  *string            `pulumi:"stdin,optional"`
	Logging                *Logging           `pulumi:"logging,optional"`
	Interpreter            *[]string          `pulumi:"interpreter,optional"`
	Dir                    *string            `pulumi:"dir,optional"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	AssetPaths             *[]string          `pulumi:"assetPaths,optional"`
	ArchivePaths           *[]string          `pulumi:"archivePaths,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
}

// Results are what a command printed, less one newline at the end of each stream, and the files asked for.
type Results struct {
	Stdout  string                            `pulumi:"stdout"`
	Stderr  string                            `pulumi:"stderr"`
	Assets  *map[string]*types.AssetOrArchive `pulumi:"assets,optional"`
	Archive *resource.Archive                 `pulumi:"archive,optional"`
}

// Logging says which streams the engine shows while the command runs; unset means both.
type Logging string

const (
	logStdout          Logging = "stdout"
	logStderr          Logging = "stderr"
	logStdoutAndStderr Logging = "stdoutAndStderr"
	logNone            Logging = "none"
)

func (Logging) Values() []infer.EnumValue[Logging] {
	values := []infer.EnumValue[Logging]{}
	for _, one := range []Logging{logStdout, logStderr, logStdoutAndStderr, logNone} {
		values = append(values, infer.EnumValue[Logging]{Name: string(one), Value: one})
	}
	return values
}

func (o Options) shows(stream Logging) bool {
	return o.Logging == nil || *o.Logging == stream || *o.Logging == logStdoutAndStderr
}

// argv is the interpreter with the command as its last argument.
func (o Options) argv(command string) []string {
	if o.Interpreter == nil || len(*o.Interpreter) == 0 {
		return []string{"/bin/sh", "-c", command}
	}
	return append(append([]string{}, *o.Interpreter...), command)
}

// environ is the provider's own environment, then the resource's, then what the last run printed: later ones win.
func (o Options) environ(before Results) []string {
	env := os.Environ()
	if o.Environment != nil {
		for name, value := range *o.Environment {
			env = append(env, name+"="+value)
		}
	}
	if o.AddPreviousOutputInEnv != nil && !*o.AddPreviousOutputInEnv {
		return env
	}
	if before.Stdout != "" {
		env = append(env, "PULUMI_COMMAND_STDOUT="+before.Stdout)
	}
	if before.Stderr != "" {
		env = append(env, "PULUMI_COMMAND_STDERR="+before.Stderr)
	}
	return env
}
