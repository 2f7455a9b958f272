//go:build unix

package app

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// SumError says that a file of an archive is not what its list says.
type SumError struct{ Name, Text string }

// Error names the file.
func (e SumError) Error() string {
	return fmt.Sprintf("%q %s: the archive is damaged or was changed", e.Name, e.Text)
}

const (
	maxUnpack      = 10_000_000 // files
	maxSumsSize    = 2 << 30    // bytes of the list
	maxPackedPath  = 1024       // bytes
	unpackFileMode = 0o600
)

// Unpack writes the files of an archive as export and backup make them below
// dir, and checks each against the list that ends the archive. The number is
// that of files, the list apart.
func Unpack(ctx context.Context, r io.Reader, dir string) (int, error) {
	gz, err := gzip.NewReader(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return 0, fmt.Errorf("read the archive: %w", err)
	}
	tr := tar.NewReader(gz)
	got := map[string]packed{}
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return 0, errors.New("read the archive: it ends before its list of checksums")
		}
		if err != nil {
			return 0, fmt.Errorf("read the archive: %w", err)
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) || len(h.Name) > maxPackedPath || len(got) >= maxUnpack {
			return 0, fmt.Errorf("read the archive: %.100q does not belong in one", h.Name)
		}
		if _, twice := got[h.Name]; twice {
			return 0, SumError{h.Name, "stands twice"}
		}
		sum, err := unpackFile(filepath.Join(dir, h.Name), h.Size, tr)
		if err != nil {
			return 0, fmt.Errorf("unpack %q: %w", h.Name, err)
		}
		if h.Name == sumsFile {
			return len(got), compareSums(filepath.Join(dir, sumsFile), got)
		}
		got[h.Name] = packed{h.Name, h.Size, sum}
	}
}

func unpackFile(name string, size int64, r io.Reader) (sum string, err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, unpackFileMode)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(r, size))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Sync(), f.Close())
}

// compareSums compares what was unpacked with the list.
func compareSums(list string, got map[string]packed) error {
	f, err := os.Open(list)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	sc := bufio.NewScanner(io.LimitReader(f, maxSumsSize))
	sc.Buffer(nil, 64<<10)
	seen := 0
	for sc.Scan() {
		var want packed
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil {
			return fmt.Errorf("read the list of checksums: %w", err)
		}
		have, ok := got[want.Name]
		switch {
		case !ok:
			return SumError{want.Name, "is missing"}
		case have != want:
			return SumError{want.Name, "does not have its checksum"}
		}
		seen++
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read the list of checksums: %w", err)
	}
	if seen != len(got) {
		return SumError{list, "does not name every file"}
	}
	return nil
}

// OpenArchive opens an archive file, or a directory that one was unpacked
// into, as the archive's bytes.
func OpenArchive(name string) (io.ReadCloser, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	if !st.IsDir() {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("open the archive: %w", err)
		}
		return f, nil
	}
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(repack(pw, name)) }()
	return pr, nil
}

// repack writes an unpacked archive as one, with the list that it came with.
func repack(w io.Writer, dir string) error {
	p, err := newPack(w, "")
	if err != nil {
		return err
	}
	if err := p.tree(".", dir); err != nil {
		return err
	}
	return errors.Join(p.file(sumsFile, filepath.Join(dir, sumsFile)), p.tar.Close(), p.gz.Close())
}
