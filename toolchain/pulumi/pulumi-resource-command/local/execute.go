package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
)

// cancelGrace is how long a cancelled command has to clean up before its process group is killed.
const cancelGrace = 10 * time.Second

// execute runs a command to its end. A failure keeps what an earlier run printed and carries both streams, in the
// order they came, in its text.
func execute(ctx context.Context, text string, options Options, before Results) (Results, error) {
	argv := options.argv(text)
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Env = options.environ(before)
	if options.Dir != nil {
		command.Dir = *options.Dir
	}
	if options.Stdin != nil {
		command.Stdin = strings.NewReader(*options.Stdin)
	}
	var stdout, stderr bytes.Buffer
	var both sharedBuffer
	shown := newLineLog(p.GetLogger(ctx).InfoStatus)
	command.Stdout = writers(&stdout, &both, shown, options.shows(logStdout))
	command.Stderr = writers(&stderr, &both, shown, options.shows(logStderr))
	stopWholeGroup(command)

	err := command.Run()
	shown.Flush()
	if ctx.Err() != nil && command.Process != nil {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		return before, fmt.Errorf("%w: running %q:\n%s", err, text, both.String())
	}
	after := Results{
		Stdout: strings.TrimSuffix(stdout.String(), "\n"), Stderr: strings.TrimSuffix(stderr.String(), "\n"),
		Assets: before.Assets, Archive: before.Archive,
	}
	return after, collectFiles(command.Dir, options, &after)
}

func writers(own, both, shown io.Writer, show bool) io.Writer {
	if show {
		return io.MultiWriter(own, both, shown)
	}
	return io.MultiWriter(own, both)
}

// stopWholeGroup makes a cancelled command's children end with it: they are asked to, and execute kills the rest.
func stopWholeGroup(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.WaitDelay = cancelGrace
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
}
