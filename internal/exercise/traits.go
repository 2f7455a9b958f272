package exercise

import (
	"github.com/lapwing-defence/lapwing/internal/vnet"
	"github.com/lapwing-defence/lapwing/internal/vnet/trait"
)

func traitByName(name string) (vnet.Traits, bool) { return trait.ByName(name) }
