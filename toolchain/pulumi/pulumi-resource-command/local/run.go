package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// RunInputs are the arguments of the invoke command:local:run.
type RunInputs struct {
	Command string `pulumi:"command"`
	Options
}

// RunOutputs are its results, with the arguments repeated.
type RunOutputs struct {
	RunInputs
	Results
}

// Run is the invoke command:local:run, which runs at every preview and every update.
type Run struct{}

func (*Run) Invoke(
	ctx context.Context, request infer.FunctionRequest[RunInputs],
) (infer.FunctionResponse[RunOutputs], error) {
	results, err := execute(ctx, request.Input.Command, request.Input.Options, Results{})
	return infer.FunctionResponse[RunOutputs]{Output: RunOutputs{RunInputs: request.Input, Results: results}}, err
}
