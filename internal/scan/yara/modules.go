package yara

import (
	"encoding/binary"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/calc"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Modules are the modules that rules may import.
func Modules() map[string]*module.Module {
	out := map[string]*module.Module{}
	for _, m := range []*module.Module{
		calc.Hash(), calc.Math(), calc.Text(), calc.Clock(), calc.Console(), calc.Tests(),
	} {
		out[m.Name] = m
	}
	return out
}

var _ = binary.LittleEndian

func entryOf(f *view.View) module.Value { return module.Value{} }
