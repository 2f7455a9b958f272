package yamldoc

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Size is a number of bytes, written as 1073741824, 1GiB, 32MiB or 64KiB.
type Size int64

// UnmarshalYAML reads a number with an optional unit.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	text, unit := n.Value, int64(1)
	for _, u := range []struct {
		suffix string
		factor int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, unit = strings.TrimSpace(rest), u.factor
		}
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 || v > 1<<50/unit {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %q is not a size; write 64KiB, 32MiB or 1GiB", n.Line, n.Value)}}
	}
	*s = Size(v * unit)
	return nil
}
