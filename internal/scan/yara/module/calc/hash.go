// Package calc holds the modules that compute: hash, math, string, time,
// console, and tests, the module of libyara's own test suite.
package calc

import (
	"crypto/md5"  //nolint:gosec // rules ask for it
	"crypto/sha1" //nolint:gosec // rules ask for it
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

func none(*view.View) (module.Value, any) { return module.Record(module.Fields{}), nil }

// span reads two arguments as a place and a length of the file; ok is false
// where libyara gives an undefined result.
func span(c *module.Call, args []module.Value) (off, n int64, ok bool) {
	off, n = args[0].I, args[1].I
	if off < 0 || n < 0 || off >= c.File.Size() {
		return 0, 0, false
	}
	n = min(n, c.File.Size()-off)
	c.Spend(n)
	return off, n, true
}

// Hash is the hash module.
func Hash() *module.Module {
	f := map[string]*module.Type{
		"md5":    digest("md5", md5.New),
		"sha1":   digest("sha1", sha1.New),
		"sha256": digest("sha256", sha256.New),
		"crc32": sum("crc32", func() func([]byte) uint32 {
			h := crc32.NewIEEE()
			return func(b []byte) uint32 {
				h.Write(b)
				return h.Sum32()
			}
		}),
		"checksum32": sum("checksum32", func() func([]byte) uint32 {
			var s uint32
			return func(b []byte) uint32 {
				for _, x := range b {
					s += uint32(x)
				}
				return s
			}
		}),
	}
	return &module.Module{Name: "hash", Type: module.StructOf(f), Load: none}
}

func digest(name string, start func() hash.Hash) *module.Type {
	text := module.T(module.String)
	return module.FuncOf(
		module.Function{Args: "ii", Result: text, Call: func(c *module.Call, _ module.Value, a []module.Value) module.Value {
			off, n, ok := span(c, a)
			if !ok {
				return module.Value{}
			}
			return cached(c, name, off, n, func() module.Value {
				h := start()
				if !c.File.Range(off, n, func(b []byte) { h.Write(b) }) {
					return module.Value{}
				}
				return module.Str(hex.EncodeToString(h.Sum(nil)))
			})
		}},
		module.Function{Args: "s", Result: text, Call: func(_ *module.Call, _ module.Value, a []module.Value) module.Value {
			h := start()
			h.Write([]byte(a[0].S))
			return module.Str(hex.EncodeToString(h.Sum(nil)))
		}},
	)
}

func cached(c *module.Call, name string, off, n int64, f func() module.Value) module.Value {
	key := fmt.Sprintf("%s %d %d", name, off, n)
	if v, ok := c.Cache[key]; ok {
		return v
	}
	v := f()
	if len(c.Cache) < 1000 {
		c.Cache[key] = v
	}
	return v
}

func sum(name string, start func() func([]byte) uint32) *module.Type {
	number := module.T(module.Int)
	return module.FuncOf(
		module.Function{Args: "ii", Result: number, Call: func(c *module.Call, _ module.Value, a []module.Value) module.Value {
			off, n, ok := span(c, a)
			if !ok {
				return module.Value{}
			}
			return cached(c, name, off, n, func() module.Value {
				add := start()
				last := add(nil)
				if !c.File.Range(off, n, func(b []byte) { last = add(b) }) {
					return module.Value{}
				}
				return module.Of(last)
			})
		}},
		module.Function{Args: "s", Result: number, Call: func(_ *module.Call, _ module.Value, a []module.Value) module.Value {
			return module.Of(start()([]byte(a[0].S)))
		}},
	)
}
