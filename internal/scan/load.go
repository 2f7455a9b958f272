package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

const (
	maxRuleFile = 64 << 20
	maxRules    = 512 << 20
)

var (
	errNoRules  = errors.New("no rules: give a file, or a directory with files named *.yar or *.yara")
	errOutside  = errors.New("an include may not leave the directory of the rules")
	errMixed    = errors.New("compiled rules stand alone: give them without other rules and without -d")
	errLargeSet = errors.New("the rules are larger than 512 MB")
)

// LoadYARA compiles the rules of files and directories, or loads one file of
// compiled rules. vars are the external variables. Problems are faults and
// warnings of the rules.
func LoadYARA(paths []string, vars map[string]any) (*yara.Rules, []yara.Problem, error) {
	var sources []yara.Source
	total := 0
	for _, p := range paths {
		files, err := ruleFiles(p)
		if err != nil {
			return nil, nil, err
		}
		for _, f := range files {
			text, err := readRules(f)
			if err != nil {
				return nil, nil, err
			}
			if yara.IsCompiled(text) {
				if len(paths) > 1 || len(files) > 1 {
					return nil, nil, errMixed
				}
				rules, err := yara.Load(bytes.NewReader(text))
				if err != nil {
					return nil, nil, fmt.Errorf("load %s: %w", f, err)
				}
				return rules, nil, nil
			}
			if total += len(text); total > maxRules {
				return nil, nil, errLargeSet
			}
			sources = append(sources, yara.Source{Name: f, Text: text})
		}
	}
	if len(sources) == 0 {
		return nil, nil, errNoRules
	}
	rules, problems := yara.Compile(sources, yara.Options{Externals: externals(vars), Include: include(paths)})
	return rules, problems, nil
}

// LoadFS compiles all rules below root of fsys: those that are shipped.
func LoadFS(fsys fs.FS, root string, vars map[string]any) (*yara.Rules, []yara.Problem, error) {
	var sources []yara.Source
	err := fs.WalkDir(fsys, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".yar") {
			return err
		}
		text, err := fs.ReadFile(fsys, p)
		sources = append(sources, yara.Source{Name: p, Text: text})
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("rules: %w", err)
	}
	rules, problems := yara.Compile(sources, yara.Options{Externals: externals(vars)})
	return rules, problems, nil
}

// externals are the variables of a file, empty, and those of the caller.
func externals(vars map[string]any) map[string]any {
	all := map[string]any{}
	for _, name := range FileVariables() {
		all[name] = ""
	}
	maps.Copy(all, vars)
	return all
}

// include opens included files, inside the directories of the rules only.
func include(paths []string) func(name, from string) ([]byte, string, error) {
	var roots []string
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && !info.IsDir() {
			p = filepath.Dir(p)
		}
		if target, err := filepath.EvalSymlinks(p); err == nil {
			roots = append(roots, target)
		}
	}
	return func(name, from string) ([]byte, string, error) {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(from), name)
		}
		target, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, "", err
		}
		for _, root := range roots {
			if rel, err := filepath.Rel(root, absolute(target, root)); err == nil && filepath.IsLocal(rel) {
				text, err := readRules(target)
				return text, target, err
			}
		}
		return nil, "", errOutside
	}
}

// absolute makes path absolute where root is.
func absolute(path, root string) string {
	if filepath.IsAbs(root) {
		if abs, err := filepath.Abs(path); err == nil {
			return abs
		}
	}
	return path
}

func ruleFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var out []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ext := strings.ToLower(filepath.Ext(p))
		if d.Type().IsRegular() && (ext == ".yar" || ext == ".yara") {
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return out, nil
}

// errSource is what rules and lists cannot be read from: a pipe could let them wait for ever.
var errSource = errors.New("it is a pipe or a device; write its content to a file and name that")

// openSource opens a file of rules or indicators, which must be an ordinary one.
func openSource(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = fmt.Errorf("%s: %w", path, errSource)
	}
	if err != nil {
		f.Close() //nolint:errcheck // nothing was read
		return nil, err
	}
	return f, nil
}

func readRules(path string) ([]byte, error) {
	f, err := openSource(path)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(f, maxRuleFile+1))
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if n > maxRuleFile {
		return nil, fmt.Errorf("rules: %s is larger than %d bytes", path, maxRuleFile)
	}
	return b.Bytes(), nil
}
