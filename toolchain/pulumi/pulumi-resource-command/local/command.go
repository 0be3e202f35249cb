package local

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// CommandInputs are the arguments of a command:local:Command. A change of a trigger replaces the resource.
type CommandInputs struct {
	Create   *string `pulumi:"create,optional"`
	Update   *string `pulumi:"update,optional"`
	Delete   *string `pulumi:"delete,optional"`
	Triggers *[]any  `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Options
}

// CommandState is what the engine remembers of one.
type CommandState struct {
	CommandInputs
	Results
}

// Command is the resource command:local:Command. It has no Read, and a preview runs nothing.
type Command struct{}

func (*Command) Create(
	ctx context.Context, request infer.CreateRequest[CommandInputs],
) (infer.CreateResponse[CommandState], error) {
	id, err := resource.NewUniqueHex(request.Name, 8, 0)
	response := infer.CreateResponse[CommandState]{ID: id, Output: CommandState{CommandInputs: request.Inputs}}
	if err != nil || request.DryRun || request.Inputs.Create == nil {
		return response, err
	}
	response.Output.Results, err = execute(ctx, *request.Inputs.Create, request.Inputs.Options, Results{})
	return response, err
}

// Update runs the update command, or the create command again where there is none.
func (*Command) Update(
	ctx context.Context, request infer.UpdateRequest[CommandInputs, CommandState],
) (infer.UpdateResponse[CommandState], error) {
	before := request.State.Results
	response := infer.UpdateResponse[CommandState]{Output: CommandState{CommandInputs: request.Inputs, Results: before}}
	command := request.Inputs.Update
	if command == nil {
		command = request.Inputs.Create
	}
	if request.DryRun || command == nil {
		return response, nil
	}
	var err error
	response.Output.Results, err = execute(ctx, *command, request.Inputs.Options, before)
	return response, err
}

// Delete runs the delete command with the inputs that the resource had, which a program may since have changed.
func (*Command) Delete(ctx context.Context, request infer.DeleteRequest[CommandState]) (infer.DeleteResponse, error) {
	if request.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	_, err := execute(ctx, *request.State.Delete, request.State.Options, request.State.Results)
	return infer.DeleteResponse{}, err
}
