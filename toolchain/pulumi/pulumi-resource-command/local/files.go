package local

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// collectFiles reads the files that assetPaths and archivePaths ask for into the results.
func collectFiles(dir string, options Options, into *Results) error {
	if options.AssetPaths != nil {
		found, err := matchingFiles(dir, *options.AssetPaths)
		if err != nil {
			return err
		}
		assets := map[string]*types.AssetOrArchive{}
		for name, asset := range found {
			assets[name] = &types.AssetOrArchive{Asset: asset}
		}
		into.Assets = &assets
	}
	if options.ArchivePaths != nil {
		found, err := matchingFiles(dir, *options.ArchivePaths)
		if err != nil {
			return err
		}
		members := map[string]any{}
		for name, asset := range found {
			members[name] = asset
		}
		if into.Archive, err = resource.NewAssetArchive(members); err != nil {
			return err
		}
	}
	return nil
}

// rule is one glob of a list; the last rule that a file matches decides, and one that began with ! leaves it out.
type rule struct {
	glob.Glob
	takes bool
}

func matchingFiles(dir string, patterns []string) (map[string]*resource.Asset, error) {
	if dir == "" {
		var err error
		if dir, err = os.Getwd(); err != nil {
			return nil, err
		}
	}
	rules, err := compile(patterns)
	if err != nil {
		return nil, err
	}
	found := map[string]*resource.Asset{}
	return found, fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !taken(rules, name) {
			return err
		}
		found[name], err = resource.NewPathAsset(path.Join(dir, name))
		return err
	})
}

func compile(patterns []string) ([]rule, error) {
	var rules []rule
	for _, pattern := range patterns {
		wanted, excludes := strings.CutPrefix(pattern, "!")
		compiled, err := glob.Compile(wanted, '/')
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule{compiled, !excludes})
	}
	return rules, nil
}

func taken(rules []rule, name string) bool {
	for i := len(rules) - 1; i >= 0; i-- {
		if rules[i].Match(name) {
			return rules[i].takes
		}
	}
	return false
}
