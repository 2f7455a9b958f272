package persona

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// CheckTemplate names every fault of the template in data, a file such as those
// under personas/: keys that do not exist, with their lines, and what is missing
// to draw a persona from it.
func CheckTemplate(file string, data []byte) error {
	t := new(template)
	doc, err := yamldoc.Decode(file, data, t)
	if err != nil {
		return err
	}
	var faults []error
	fault := func(key, text string) {
		at := file
		if doc != nil {
			var path []any
			for part := range strings.SplitSeq(key, ".") {
				path = append(path, part)
			}
			if line := doc.Line(path...); line > 0 {
				at = fmt.Sprintf("%s:%d", file, line)
			}
		}
		faults = append(faults, fmt.Errorf("%s: %s: %s", at, key, text))
	}
	switch t.Family {
	case "debian", "ubuntu", "busybox":
	default:
		fault("family", fmt.Sprintf("%q is none that the programs of a fake host know; write debian, ubuntu or busybox", t.Family))
	}
	needed := t.needed()
	for _, key := range slices.Sorted(maps.Keys(needed)) {
		if needed[key] == 0 {
			fault(key, "nothing to choose from; give at least one")
		}
	}
	for _, o := range t.OUIs {
		if _, err := fmt.Sscanf(o, "%02x:%02x:%02x", new(byte), new(byte), new(byte)); err != nil || len(o) != len("52:54:00") {
			fault("ouis", fmt.Sprintf("%q is no OUI; write the first half of a MAC address, such as 52:54:00", o))
		}
	}
	if len(faults) == 0 {
		if err := t.drawable(); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", file, err))
		}
	}
	return errors.Join(faults...)
}

// needed counts what a persona is drawn from.
func (t *template) needed() map[string]int {
	n := map[string]int{"hostnames": len(t.Hostnames), "domains": len(t.Domains), "ouis": len(t.OUIs)}
	if t.Family == "busybox" {
		n["router"] = 0
		if t.Router != nil {
			n["router"] = 1
			n["router.models"], n["router.firmwares"], n["router.boards"] = len(t.Router.Models), len(t.Router.Firmwares), len(t.Router.Boards)
		}
		return n
	}
	n["releases"], n["cpus"], n["cores"], n["memory_kb"] = len(t.Releases), len(t.CPUs), len(t.Cores), len(t.MemoryKB)
	n["disks_gb"], n["people"], n["surnames"] = len(t.DisksGB), len(t.People), len(t.Surnames)
	return n
}

// drawable draws some personas.
func (t *template) drawable() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("no persona can be drawn from it: %v; compare it with a template that is shipped", r)
		}
	}()
	for seed := range uint64(16) {
		generate(t, "check", seed, time.Unix(1_700_000_000, 0))
	}
	return nil
}
