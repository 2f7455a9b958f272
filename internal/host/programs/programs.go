// Package programs lists every program that a fake host can run.
package programs

import (
	"maps"

	"github.com/lapwing-defence/lapwing/internal/host/archive"
	"github.com/lapwing-defence/lapwing/internal/host/busybox"
	"github.com/lapwing-defence/lapwing/internal/host/edit"
	"github.com/lapwing-defence/lapwing/internal/host/files"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/host/scp"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
	"github.com/lapwing-defence/lapwing/internal/host/system"
	"github.com/lapwing-defence/lapwing/internal/host/text"
)

// All is the programs by the name of their implementation (persona.Program.Impl).
func All() map[string]kernel.Program {
	all := map[string]kernel.Program{}
	for _, m := range []map[string]kernel.Program{text.Programs(), files.Programs(), archive.Programs(), edit.Programs(), system.Programs(), netcmd.Programs(), scp.Programs(), shell.Programs(), busybox.Programs()} {
		maps.Copy(all, m)
	}
	return all
}
