package main

import (
	"cmp"
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
	modules := filepath.Join(request.GetInfo().GetProgramDirectory(), "node_modules")
	return &pulumirpc.GetRequiredPackagesResponse{Packages: pluginsBelow(modules, map[string]bool{})}, nil
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
	fmt.Fprint(stdout, "Installing dependencies...\n\n")
	_, err = npm.Install(stream.Context(), npm.AutoPackageManager, request.GetInfo().GetProgramDirectory(),
		production, stdout, stderr)
	if err == nil {
		fmt.Fprint(stdout, "Finished installing dependencies\n\n")
	}
	return errors.Join(err, closer.Close())
}

// pluginsBelow reads every package of a node_modules folder, and the node_modules inside those. A package that is
// linked into several places, itself among them, is read once.
func pluginsBelow(modules string, seen map[string]bool) []*pulumirpc.PackageDependency {
	var plugins []*pulumirpc.PackageDependency
	for _, folder := range packageFolders(modules) {
		real, err := filepath.EvalSymlinks(folder)
		if err != nil || seen[real] {
			continue
		}
		seen[real] = true
		if plugin := pluginOf(real); plugin != nil {
			plugins = append(plugins, plugin)
		}
		plugins = append(plugins, pluginsBelow(filepath.Join(real, "node_modules"), seen)...)
	}
	return plugins
}

// packageFolders are NAME and @SCOPE/NAME of a node_modules folder; none where there is no such folder.
func packageFolders(modules string) []string {
	var folders []string
	entries, _ := os.ReadDir(modules)
	for _, entry := range entries {
		folder := filepath.Join(modules, entry.Name())
		switch entry.Name()[0] {
		case '.':
		case '@':
			folders = append(folders, packageFolders(folder)...)
		default:
			folders = append(folders, folder)
		}
	}
	return folders
}

// pluginOf is nil for a package that belongs to no provider, and for one that does not say to which.
func pluginOf(folder string) *pulumirpc.PackageDependency {
	text, err := os.ReadFile(filepath.Join(folder, "package.json"))
	if err != nil {
		return nil
	}
	var manifest struct {
		Name    string                  `json:"name"`
		Version string                  `json:"version"`
		Pulumi  plugin.PulumiPluginJSON `json:"pulumi"`
	}
	// Some packages carry a package.json that is not quite JSON; those are no providers.
	if json.Unmarshal(text, &manifest) != nil || !manifest.Pulumi.Resource {
		return nil
	}
	name, official := strings.CutPrefix(manifest.Name, "@pulumi/")
	if manifest.Pulumi.Name != "" {
		name, official = manifest.Pulumi.Name, true
	}
	version := cmp.Or(manifest.Pulumi.Version, manifest.Version)
	if !official || version == "" {
		return nil
	}
	return &pulumirpc.PackageDependency{
		Name: name, Kind: "resource", Version: "v" + strings.TrimPrefix(version, "v"), Server: manifest.Pulumi.Server,
		Parameterization: parameterization(manifest.Pulumi.Parameterization),
		Extension:        parameterization(manifest.Pulumi.ExtensionParameterization),
	}
}

func parameterization(p *plugin.PulumiParameterizationJSON) *pulumirpc.PackageParameterization {
	if p == nil {
		return nil
	}
	return &pulumirpc.PackageParameterization{Name: p.Name, Version: p.Version, Value: p.Value}
}
