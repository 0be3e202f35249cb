// Command pulumi-resource-command is a thin stand-in for Pulumi's command provider 1.2.1, used only where official
// releases cannot be reached. It serves command:local:Command and command:local:run to the official
// @pulumi/command package; the remote resources are not there.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/pulumi/pulumi-go-provider/infer"

	"tracelab/toolchain/pulumi/pulumi-resource-command/local"
)

// version is that of the official provider whose contract this keeps.
const version = "1.2.1"

func main() {
	provider, err := infer.NewProviderBuilder().
		WithResources(infer.Resource(&local.Command{})).
		WithFunctions(infer.Function(&local.Run{})).
		Build()
	if err == nil {
		err = provider.Run(context.Background(), "command", version)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-command:", err)
		os.Exit(1)
	}
}
