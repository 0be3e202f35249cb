package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
)

// cancelGrace is how long a cancelled command has to clean up before its process group is killed. The engine gives
// the provider itself 5 s.
const cancelGrace = 4 * time.Second

// execute runs a command to its end. A failure keeps what an earlier run printed and carries both streams, in the
// order they came, in its text.
func execute(ctx context.Context, text string, options Options, before Results) (Results, error) {
	// An engine that is done with the provider interrupts it; the command is in a group of its own and hears nothing.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
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
	killRest := stopWholeGroup(command)

	err := checkFolder(command.Dir)
	if err == nil {
		err = command.Run()
	}
	killRest()
	shown.Flush()
	if err != nil {
		return before, fmt.Errorf("%w: running %q:\n%s", err, text, both.String())
	}
	after := Results{
		Stdout: strings.TrimSuffix(stdout.String(), "\n"), Stderr: strings.TrimSuffix(stderr.String(), "\n"),
		Assets: before.Assets, Archive: before.Archive,
	}
	return after, collectFiles(command.Dir, options, &after)
}

// checkFolder names a folder that is not there; the error of a program that is to start in one names the program.
func checkFolder(folder string) error {
	if folder == "" {
		return nil
	}
	_, err := os.Stat(folder)
	if missing, ok := err.(*os.PathError); ok {
		missing.Op = "chdir"
	}
	return err
}

func writers(own, both, shown io.Writer, show bool) io.Writer {
	if show {
		return io.MultiWriter(own, both, shown)
	}
	return io.MultiWriter(own, both)
}

// stopWholeGroup makes a cancelled command's children end with it: they are asked to, and killed when the grace is
// over or, by the function returned, when the command itself has ended.
func stopWholeGroup(command *exec.Cmd) (killRest func()) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var graceOver *time.Timer
	kill := func() { _ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.Cancel = func() error {
		graceOver = time.AfterFunc(cancelGrace, kill)
		return syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
	}
	return func() {
		if graceOver != nil && graceOver.Stop() {
			kill()
		}
	}
}
