// Package archtest keeps the architecture: who may import whom, and what the
// packages that meet strangers may not reach at all. It reads the source
// files itself, so that a cached test result never hides a change.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Module is the module path that internal imports begin with.
const Module = "github.com/lapwing-defence/lapwing/"

// Package is what the source files of one folder import, tests left out.
type Package struct {
	Dir     string              // slash-separated, relative to the root
	Imports map[string][]string // import path -> files
	Calls   map[string][]string // "pkg.Name" selectors on imported packages -> places
}

// Load reads every Go package below root but testdata and hidden folders.
func Load(root string) (map[string]*Package, error) {
	pkgs := map[string]*Package{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "dist" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return add(pkgs, p, filepath.ToSlash(rel))
	})
	return pkgs, err
}

func add(pkgs map[string]*Package, file, rel string) error {
	dir := path.Dir(rel)
	pkg := pkgs[dir]
	if pkg == nil {
		pkg = &Package{Dir: dir, Imports: map[string][]string{}, Calls: map[string][]string{}}
		pkgs[dir] = pkg
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("parse %s: %w", rel, err)
	}
	names := map[string]string{}
	for _, im := range f.Imports {
		p, err := strconv.Unquote(im.Path.Value)
		if err != nil {
			return fmt.Errorf("parse %s: %w", rel, err)
		}
		pkg.Imports[p] = append(pkg.Imports[p], rel)
		name := path.Base(p)
		if im.Name != nil {
			name = im.Name.Name
		}
		names[name] = p
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && names[x.Name] != "" {
				key := names[x.Name] + "." + s.Sel.Name
				pkg.Calls[key] = append(pkg.Calls[key], fmt.Sprintf("%s:%d", rel, fset.Position(s.Pos()).Line))
			}
		}
		return true
	})
	return nil
}

// Internal is the sorted list of our own packages that p imports, without the
// module path and "internal/".
func (p *Package) Internal() []string {
	var out []string
	for im := range p.Imports {
		if rest, ok := strings.CutPrefix(im, Module); ok {
			out = append(out, strings.TrimPrefix(rest, "internal/"))
		}
	}
	sort.Strings(out)
	return out
}
