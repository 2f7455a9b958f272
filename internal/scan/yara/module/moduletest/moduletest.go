// Package moduletest holds what every module that reads files must pass.
package moduletest

import (
	"bytes"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// maxValues bounds how much of a file's values is looked at; maxItems how much
// of one table.
const (
	maxValues = 20_000
	maxItems  = 50
)

// Fuzz gives any bytes to m. Each value must be of the kind that the module's
// type promises, under a name that it has; and a file that is in memory must
// give the same as one that is read piece by piece.
func Fuzz(f *testing.F, m *module.Module, seeds ...[]byte) {
	f.Helper()
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		Check(t, m, b)
	})
}

// Check is what Fuzz does with one file.
func Check(t *testing.T, m *module.Module, b []byte) {
	t.Helper()
	whole, _ := m.Load(view.Of(b))
	var pieces view.View
	pieces.Reset(bytes.NewReader(b), int64(len(b)), nil)
	read, _ := m.Load(&pieces)
	w := &walk{t: t}
	w.compare(m.Name, m.Type, whole, read)
}

type walk struct {
	t    *testing.T
	seen int
}

func (w *walk) compare(name string, typ *module.Type, a, b module.Value) {
	w.t.Helper()
	if w.seen++; w.seen > maxValues || w.t.Failed() {
		return
	}
	switch {
	case a.K != b.K || a.I != b.I || a.S != b.S || a.Len() != b.Len():
		w.t.Errorf("%s is %v %d %q in memory, %v %d %q read in pieces", name, a.K, a.I, a.S, b.K, b.I, b.S)
	case a.K == module.Undef:
	case typ == nil:
		w.t.Errorf("%s is not in the module's type", name)
	case a.K != typ.Kind:
		w.t.Errorf("%s is of kind %d, not %d", name, a.K, typ.Kind)
	case a.K == module.Struct:
		fields, _ := a.P.(module.Fields)
		for n := range fields {
			w.compare(name+"."+n, typ.Fields[n], a.Field(n), b.Field(n))
		}
	case a.K == module.Array:
		for i := range min(a.Len(), maxItems) {
			w.compare(name+"[]", typ.Elem, a.Item(int64(i)), b.Item(int64(i)))
		}
	}
}
