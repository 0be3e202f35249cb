// Command pulumi-language-nodejs is a thin stand-in for Pulumi's Node.js language host, used only where official
// releases cannot be reached. It serves what `pulumi up`, `pulumi install` and `pulumi package gen-sdk` ask of it
// (pulumirpc.LanguageRuntime); debuggers, templates, bun and program generation answer "unimplemented".
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/go/common/version"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// engineSilence is how long an engine may not answer before the host takes it for dead and ends.
const engineSilence = 5 * time.Minute

func main() {
	flag.String("tracing", "", "accepted and ignored")
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *showVersion {
		fmt.Println(version.Version)
		return
	}
	if err := serve(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-language-nodejs:", err)
		os.Exit(1)
	}
}

// serve answers the engine until the engine is gone or the host is told to stop.
func serve(engine string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	programs, stopPrograms := context.WithCancel(ctx)
	defer stopPrograms()
	host := &languageHost{ctx: ctx, stop: stop, programs: programs, stopPrograms: stopPrograms, engine: engine}
	if err := host.watchEngine(); err != nil {
		return err
	}
	stopServing := make(chan bool)
	go func() {
		<-ctx.Done()
		close(stopServing)
	}()
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: stopServing,
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, host)
			return nil
		},
	})
	if err != nil {
		return err
	}
	// The engine reads the port from the first line.
	fmt.Println(handle.Port)
	return <-handle.Done
}

type languageHost struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	// ctx ends with the host.
	ctx  context.Context
	stop context.CancelFunc
	// programs ends with the host or when it is told to cancel; programs that still run then are interrupted.
	programs     context.Context
	stopPrograms context.CancelFunc
	engine       string
}

func (h *languageHost) watchEngine() error {
	if h.engine == "" {
		return nil
	}
	return rpcutil.Healthcheck(h.ctx, h.engine, engineSilence, h.stop)
}

// Handshake names the engine to a host that was started without its address.
func (h *languageHost) Handshake(
	_ context.Context, request *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	if h.engine == request.GetEngineAddress() {
		return &pulumirpc.LanguageHandshakeResponse{}, nil
	}
	h.engine = request.GetEngineAddress()
	return &pulumirpc.LanguageHandshakeResponse{}, h.watchEngine()
}

func (h *languageHost) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version.Version}, nil
}

// Cancel interrupts the running program; the host goes on answering, its Run's answer among it.
func (h *languageHost) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.stopPrograms()
	return &emptypb.Empty{}, nil
}
