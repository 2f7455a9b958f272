package yara_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// countdown is a context that ends after it was asked so many times.
type countdown struct {
	context.Context //nolint:containedctx // what it adds to
	left            int
	asked           int // after its end
}

func (c *countdown) Err() error {
	if c.left--; c.left >= 0 {
		return nil
	}
	c.asked++
	return context.Canceled
}

// TestEndIsSeen holds that work that takes long in one place looks at the end
// of its time: within one condition and within the expressions of one window.
func TestEndIsSeen(t *testing.T) {
	text := strings.Repeat("12 3 1 22 33 abcdef", 20_000)
	for name, rule := range map[string]string{
		"functions":   `import "hash" import "math" rule a { condition: for all i in (0..100000) : (hash.md5(i, filesize) != "" and math.entropy(i, filesize) > 0.0) }`,
		"nested":      `rule a { condition: for all i in (0..100000) : (for all j in (0..100000) : (i + j >= 0)) }`,
		"expression":  `rule a { strings: $a = /abcd(e|[a-f]|[0-9 ]|.){200,900}Q/ condition: $a }`,
		"expressions": `rule a { strings: $a = /abcd(e|[a-f]|[0-9 ]|.){90,600}Q/ $b = /cdef([a-f]|[0-9 ]|.){90,600}Q/ condition: any of them }`,
	} {
		t.Run(name, func(t *testing.T) {
			rules, problems := yara.Compile([]yara.Source{{Name: "r", Text: []byte(rule)}}, yara.Options{})
			if yara.Failed(problems) {
				t.Fatal(problems)
			}
			ctx := &countdown{Context: t.Context(), left: 3}
			_, err := rules.NewScanner().Scan(ctx, bytes.NewReader([]byte(text)), int64(len(text)), yara.ScanOptions{})
			if !errors.Is(err, context.Canceled) || ctx.asked != 1 {
				t.Errorf("it went on: %v, asked %d times after the end", err, ctx.asked)
			}
		})
	}
}
