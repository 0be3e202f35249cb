package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

const (
	// exitAfterTelling is what @pulumi/pulumi's runner exits with when it has told the person what went wrong.
	exitAfterTelling = 32
	// interruptGrace is how long an interrupted program has before it is killed.
	interruptGrace = 5 * time.Second
)

// Run starts @pulumi/pulumi's own runner on the program. The runner speaks to the engine by itself; how it ended
// is the answer.
func (h *languageHost) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	runner, err := findRunner(request.GetInfo().GetProgramDirectory())
	if err != nil {
		return &pulumirpc.RunResponse{Error: err.Error()}, nil
	}
	env, err := programEnvironment(request)
	if err != nil {
		return nil, err
	}
	// The program stops when the request is given up and when the host is cancelled.
	running, stop := context.WithCancel(h.programs)
	defer stop()
	defer context.AfterFunc(ctx, stop)()

	// A wrapper keeps Node from getting the host's own descriptors, whose blocking mode it would change.
	program := exec.CommandContext(running, "node", programArguments(request, runner, h.engine)...)
	program.Env = env
	program.Stdout = struct{ io.Writer }{os.Stdout}
	program.Stderr = struct{ io.Writer }{os.Stderr}
	program.Cancel = func() error { return program.Process.Signal(os.Interrupt) }
	program.WaitDelay = interruptGrace
	return programResponse(program.Run()), nil
}

func programResponse(err error) *pulumirpc.RunResponse {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}
	case !errors.As(err, &exit):
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("node could not run the program: %v", err)}
	case exit.ExitCode() == exitAfterTelling:
		return &pulumirpc.RunResponse{Bail: true}
	default:
		return &pulumirpc.RunResponse{Error: fmt.Sprintf("Program exited with non-zero exit code: %d", exit.ExitCode())}
	}
}

// programArguments are node's: its own options, the runner, the runner's flags, the program and its arguments.
func programArguments(request *pulumirpc.RunRequest, runner, engine string) []string {
	info := request.GetInfo()
	nodeOptions := strings.Fields(info.GetOptions().GetFields()["nodeargs"].GetStringValue())
	arguments := append(nodeOptions, runner)
	for _, flag := range [][2]string{
		{"--monitor", request.GetMonitorAddress()},
		{"--engine", engine},
		{"--organization", request.GetOrganization()},
		{"--project", request.GetProject()},
		{"--root-directory", info.GetRootDirectory()},
		{"--stack", request.GetStack()},
		{"--pwd", info.GetProgramDirectory()},
		{"--parallel", strconv.Itoa(int(request.GetParallel()))},
	} {
		if flag[1] != "" {
			arguments = append(arguments, flag[0], flag[1])
		}
	}
	if request.GetDryRun() {
		arguments = append(arguments, "--dry-run")
	}
	return append(append(arguments, info.GetEntryPoint()), request.GetArgs()...)
}

// programEnvironment is the host's own, with the stack's configuration. The runner loads ts-node unless the
// project's runtime options say typescript: false.
func programEnvironment(request *pulumirpc.RunRequest) ([]string, error) {
	// A stack without configuration is {} and [], not null: the runner lists the keys of what it gets.
	values := map[string]string{}
	maps.Copy(values, request.GetConfig())
	config, err := json.Marshal(values)
	if err != nil {
		return nil, err
	}
	secretKeys, err := json.Marshal(append([]string{}, request.GetConfigSecretKeys()...))
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), "PULUMI_CONFIG="+string(config), "PULUMI_CONFIG_SECRET_KEYS="+string(secretKeys))
	typescript, said := request.GetInfo().GetOptions().GetFields()["typescript"]
	if !said || typescript.GetBoolValue() {
		env = append(env, "PULUMI_NODEJS_TYPESCRIPT=true")
	}
	return env, nil
}

// findRunner looks as Node resolves packages: in node_modules here and in every folder above.
func findRunner(folder string) (string, error) {
	for at := folder; ; at = filepath.Dir(at) {
		runner := filepath.Join(at, "node_modules", "@pulumi", "pulumi", "cmd", "run", "index.js")
		if _, err := os.Stat(runner); err == nil {
			return runner, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("@pulumi/pulumi is not installed in %s or above it. Have you run pulumi install?", folder)
		}
	}
}
