package plant

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/token"
)

// Valid refuses a token that would open something: its user name is one of this
// machine's own or of the files of names, or its key is in authorized_keys of the
// directory.
func Valid(ctx context.Context, d Dir, lists []string, t *token.Token, files []token.File) error {
	name := t.Names["user"]
	if name != "" {
		if _, err := user.Lookup(name); err == nil {
			return refuse("the user %q exists on this machine", name)
		}
		for _, list := range lists {
			if err := listed(ctx, list, name); err != nil {
				return err
			}
		}
	}
	for _, keys := range []string{".ssh/authorized_keys", ".ssh/authorized_keys2"} {
		data, err := d.Read(keys)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", keys, err)
		}
		for _, f := range files {
			if key := strings.Fields(string(f.Content)); strings.HasSuffix(f.Path, ".pub") && len(key) > 1 && strings.Contains(string(data), key[1]) {
				return refuse("its key is in %s", keys)
			}
		}
	}
	return nil
}

// listed refuses a name that stands in a file, alone on a line or as the first
// field of one, in either case.
func listed(ctx context.Context, file, name string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the names that are valid: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := readAll(f, maxNames)
	if err != nil {
		return fmt.Errorf("read the names that are valid: %s: %w", file, err)
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		if n++; ctx.Err() != nil {
			return ctx.Err()
		}
		word := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(":,;\t\r\n\"", r) })
		if len(word) > 0 && strings.EqualFold(strings.TrimSpace(word[0]), name) {
			return refuse("the user %q stands in %s:%d", name, file, n)
		}
	}
	return nil
}

const maxNames = 64 << 20 // bytes of a file of names
