//go:build !linux

package follow

import (
	"hash/fnv"
	"os"
)

// identify tells which file an open one is: here by its name alone.
func identify(f *os.File) (ident, error) { return identifyName(f.Name()) }

// identifyName tells which file is called name.
func identifyName(name string) (ident, error) {
	h := fnv.New64a()
	h.Write([]byte(name))
	return ident{ino: h.Sum64()}, nil
}

func remote(string) (string, bool) { return "", false }
