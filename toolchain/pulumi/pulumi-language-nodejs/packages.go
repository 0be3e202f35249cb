package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	"github.com/pulumi/pulumi/sdk/v3/nodejs/npm"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// GetRequiredPackages names the provider plugins that the installed npm packages speak to: what each says of
// itself under "pulumi" in its package.json.
func (h *languageHost) GetRequiredPackages(
	_ context.Context, request *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	packages, err := pluginsBelow(filepath.Join(request.GetInfo().GetProgramDirectory(), "node_modules"))
	return &pulumirpc.GetRequiredPackagesResponse{Packages: packages}, err
}

// GetProgramDependencies lists the installed npm packages, for `pulumi about` and the like.
func (h *languageHost) GetProgramDependencies(
	ctx context.Context, request *pulumirpc.GetProgramDependenciesRequest,
) (*pulumirpc.GetProgramDependenciesResponse, error) {
	folder := request.GetInfo().GetProgramDirectory()
	manager, err := npm.ResolvePackageManager(npm.AutoPackageManager, folder)
	if err != nil {
		return nil, err
	}
	packages, err := manager.ListPackages(ctx, folder, request.GetTransitiveDependencies())
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GetProgramDependenciesResponse{}
	for _, one := range packages {
		response.Dependencies = append(response.Dependencies, &pulumirpc.DependencyInfo{Name: one.Name, Version: one.Version})
	}
	return response, nil
}

// InstallDependencies is `pulumi install`: the package manager that the project's lock file belongs to.
func (h *languageHost) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest, stream pulumirpc.LanguageRuntime_InstallDependenciesServer,
) error {
	closer, stdout, stderr, err := rpcutil.MakeInstallDependenciesStreams(stream, request.GetIsTerminal())
	if err != nil {
		return err
	}
	const production = false
	_, err = npm.Install(stream.Context(), npm.AutoPackageManager, request.GetInfo().GetProgramDirectory(),
		production, stdout, stderr)
	return errors.Join(err, closer.Close())
}

// pluginsBelow reads every package of a node_modules folder, and the node_modules inside those.
func pluginsBelow(modules string) ([]*pulumirpc.PackageDependency, error) {
	folders, err := packageFolders(modules)
	if err != nil {
		return nil, err
	}
	var plugins []*pulumirpc.PackageDependency
	for _, folder := range folders {
		plugin, err := pluginOf(folder)
		if err != nil {
			return nil, err
		}
		if plugin != nil {
			plugins = append(plugins, plugin)
		}
		inner, err := pluginsBelow(filepath.Join(folder, "node_modules"))
		if err != nil {
			return nil, err
		}
		plugins = append(plugins, inner...)
	}
	return plugins, nil
}

// packageFolders are NAME and @SCOPE/NAME of a node_modules folder; none where there is no such folder.
func packageFolders(modules string) ([]string, error) {
	plain, err := filepath.Glob(filepath.Join(modules, "[^.@]*"))
	if err != nil {
		return nil, err
	}
	scoped, err := filepath.Glob(filepath.Join(modules, "@*", "[^.]*"))
	return append(plain, scoped...), err
}

// pluginOf is nil for a package that belongs to no provider.
func pluginOf(folder string) (*pulumirpc.PackageDependency, error) {
	file := filepath.Join(folder, "package.json")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil
	}
	var manifest struct {
		Name    string                  `json:"name"`
		Version string                  `json:"version"`
		Pulumi  plugin.PulumiPluginJSON `json:"pulumi"`
	}
	// Some packages carry a package.json that is not quite JSON; those are no providers.
	if json.Unmarshal(text, &manifest) != nil || !manifest.Pulumi.Resource {
		return nil, nil
	}
	name, version := manifest.Pulumi.Name, manifest.Pulumi.Version
	if name == "" {
		unscoped, official := strings.CutPrefix(manifest.Name, "@pulumi/")
		if !official {
			return nil, fmt.Errorf("%s: a provider's package outside @pulumi needs a pulumi.name", file)
		}
		name = unscoped
	}
	if version == "" {
		version = manifest.Version
	}
	dependency := &pulumirpc.PackageDependency{
		Name: name, Kind: "resource", Version: "v" + strings.TrimPrefix(version, "v"), Server: manifest.Pulumi.Server,
	}
	if p := manifest.Pulumi.Parameterization; p != nil {
		dependency.Parameterization = &pulumirpc.PackageParameterization{Name: p.Name, Version: p.Version, Value: p.Value}
	}
	return dependency, nil
}
