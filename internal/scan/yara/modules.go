package yara

import (
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/calc"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/dexmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/dotnetmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/elfmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/lnkmod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/machomod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module/pemod"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

// Modules are the modules that rules may import.
func Modules() map[string]*module.Module {
	out := map[string]*module.Module{}
	for _, m := range []*module.Module{
		calc.Hash(), calc.Math(), calc.Text(), calc.Clock(), calc.Console(), calc.Tests(), pemod.Module(), elfmod.Module(), dotnetmod.Module(),
		machomod.Module(), dexmod.Module(), lnkmod.Module(),
	} {
		out[m.Name] = m
	}
	return out
}

func entryOf(f *view.View) module.Value {
	if off := pemod.Entry(f); off >= 0 {
		return module.Of(off)
	}
	if off := elfmod.Entry(f); off >= 0 {
		return module.Of(off)
	}
	return module.Value{}
}
