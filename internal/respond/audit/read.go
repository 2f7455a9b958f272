package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// scan calls fn with each whole line of entries, from number 0. The text is valid
// during the call.
func scan(f io.ReaderAt, fn func(i int64, text []byte) error) error {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), maxLine)
	for i := int64(0); ; i++ {
		text, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("entry %d is longer than %d bytes", i, maxLine)
		}
		if err == nil {
			err = fn(i, text[:len(text)-1])
		}
		if err != nil {
			return err
		}
	}
}

// erase copies entries, without what is personal in those that are meant.
func erase(from io.ReaderAt, to io.Writer, meant func(string) bool) (size int64, n int, err error) {
	w := bufio.NewWriterSize(to, 256<<10)
	err = scan(from, func(i int64, text []byte) error {
		var one line
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		if one.About != nil && meant(one.About.Target) {
			one.About, one.Salt = nil, ""
			n++
			if text, err = json.Marshal(one); err != nil {
				return err
			}
		}
		size += int64(len(text)) + 1
		w.Write(text) //nolint:errcheck // Flush tells
		return w.WriteByte('\n')
	})
	return size, n, errors.Join(err, w.Flush())
}

// Read calls fn with each entry of the log in dir, the oldest first, whether it is
// open elsewhere or not. It does not verify.
func Read(dir string, fn func(Entry) error) error {
	f, err := os.Open(filepath.Join(dir, "entries"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	return scan(f, func(i int64, text []byte) error {
		var one line
		if err := json.Unmarshal(bytes.Clone(text), &one); err != nil {
			return fmt.Errorf("read the audit log: entry %d: %w; see lapwing audit verify", i, err)
		}
		return fn(one.entry())
	})
}
