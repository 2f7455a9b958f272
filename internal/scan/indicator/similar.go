package indicator

import (
	"fmt"
	"strings"

	"github.com/glaslos/ssdeep"
	"github.com/glaslos/tlsh"
)

// checkSimilar refuses what the libraries would stumble over.
func checkSimilar(k Kind, v string) error {
	if k == TLSH {
		digits := strings.TrimPrefix(v, "T1")
		if len(digits) != 70 || strings.Trim(strings.ToLower(digits), "0123456789abcdef") != "" {
			return fmt.Errorf("%q is no TLSH: 70 hex digits, with or without T1 before them", clip(v))
		}
		return nil
	}
	part := strings.Split(v, ":")
	if len(part) != 3 || len(v) > 200 || strings.Trim(part[0], "0123456789") != "" || part[0] == "" {
		return fmt.Errorf("%q is no ssdeep: block size, two signatures, with colons between", clip(v))
	}
	return nil
}

// likeness is 0 where in and f are not alike or not comparable.
func likeness(in Indicator, f File) (score int) {
	defer func() {
		if recover() != nil { // the libraries index into what they are given
			score = 0
		}
	}()
	switch in.Kind {
	case TLSH:
		if f.TLSH == "" || checkSimilar(TLSH, f.TLSH) != nil {
			return 0
		}
		a, err := tlsh.ParseStringToTlsh(strings.TrimPrefix(strings.ToLower(in.Value), "t1"))
		if err != nil {
			return 0
		}
		b, err := tlsh.ParseStringToTlsh(strings.TrimPrefix(strings.ToLower(f.TLSH), "t1"))
		if err != nil {
			return 0
		}
		if d := a.Diff(b); d <= maxTLSH {
			return 100 - d
		}
	case SSDeep:
		if f.SSDeep == "" {
			return 0
		}
		if n, err := ssdeep.Distance(in.Value, f.SSDeep); err == nil && n >= minSSDeep {
			return n
		}
	}
	return 0
}

// minSimilar is the size below which a likeness says nothing.
const minSimilar = 256

// MaxSimilarFile is the size above which likeness is not computed.
const MaxSimilarFile = 64 << 20

// Similar computes both likenesses of a file's content; a value is empty where
// the content is too small or too uniform for it.
func Similar(data []byte) (t, s string) {
	defer func() { _ = recover() }()
	if len(data) < minSimilar || len(data) > MaxSimilarFile {
		return "", ""
	}
	if h, err := tlsh.HashBytes(data); err == nil {
		t = "T1" + strings.ToUpper(h.String())
	}
	if h, err := ssdeep.FuzzyBytes(data); err == nil {
		s = h
	}
	return t, s
}
