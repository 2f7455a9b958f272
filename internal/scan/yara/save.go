package yara

import (
	"bytes"
	"fmt"
	"io"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
)

const maxCompiled = 1 << 30

// IsCompiled tells whether b begins as saved rules do.
func IsCompiled(b []byte) bool { return code.Is(b) }

// Save writes the rules, with a version and a checksum, for Load.
func (r *Rules) Save(w io.Writer) error {
	if _, err := w.Write(code.Encode(r.prog)); err != nil {
		return fmt.Errorf("save rules: %w", err)
	}
	return nil
}

// Load reads what Save wrote by the same version of the program, at most 1 GB.
func Load(in io.Reader) (*Rules, error) {
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(in, maxCompiled)); err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	return LoadBytes(b.Bytes())
}

// LoadBytes is Load of bytes, which the rules keep: nobody may change them.
func LoadBytes(b []byte) (*Rules, error) {
	p, err := code.Decode(b)
	if err != nil {
		return nil, err
	}
	return newRules(p)
}
