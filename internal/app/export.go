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
	"hash"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/keep"
)

// pack writes a tar.gz and the sums of what is in it.
type pack struct {
	gz   *gzip.Writer
	tar  *tar.Writer
	dir  Dir // where files of unknown length wait
	sums []packed
}

// packed is one file of a pack, as its last file lists them.
type packed struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

const sumsFile = "SHA256SUMS.json"

func newPack(w io.Writer, d Dir) (*pack, error) {
	gz, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	return &pack{gz: gz, tar: tar.NewWriter(gz), dir: d}, nil
}

// zeros is an endless source of them.
type zeros struct{}

// Read implements io.Reader.
func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// add writes one file of size bytes. A file that became shorter meanwhile, as
// a journal segment does when it is closed, ends in zeros, as it did before.
func (p *pack) add(name string, size int64, mod time.Time, r io.Reader) error {
	if err := p.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: mod, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return err
	}
	h := sha256.New()
	_, err := io.Copy(io.MultiWriter(p.tar, h), io.LimitReader(io.MultiReader(r, zeros{}), size))
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	p.sum(name, size, h)
	return nil
}

func (p *pack) sum(name string, size int64, h hash.Hash) {
	p.sums = append(p.sums, packed{name, size, hex.EncodeToString(h.Sum(nil))})
}

// file adds a file as it is now; one that is gone is left out.
func (p *pack) file(name, path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return p.add(name, st.Size(), st.ModTime(), f)
}

// lines adds a file of lines that fn gives. It waits in a file without a name
// until its length is known.
func (p *pack) lines(name string, fn func(line func([]byte) error) error) error {
	f, err := os.CreateTemp(p.dir.Path("run"), "pack-*")
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	defer f.Close()                             //nolint:errcheck // it goes with that
	if err := os.Remove(f.Name()); err != nil { // nothing is left after any end of the process
		return fmt.Errorf("pack %s: %w", name, err)
	}
	w := bufio.NewWriterSize(f, 64<<10)
	err = fn(func(line []byte) error {
		w.Write(event.Printable(line)) //nolint:errcheck // the next one tells
		return w.WriteByte('\n')
	})
	if err = errors.Join(err, w.Flush()); err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("pack %s: %w", name, err)
	}
	return p.add(name, size, time.Now(), f)
}

// close writes the list of sums and ends the archive.
func (p *pack) close() error {
	err := p.lines(sumsFile, func(line func([]byte) error) error {
		for _, s := range p.sums {
			data, err := json.Marshal(s)
			if err == nil {
				err = line(data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, p.tar.Close(), p.gz.Close())
}

// stream answers with a tar.gz; what goes wrong after its first byte is told
// in the trailer.
func (k *desk) stream(fn func(io.Writer, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		lazy := &lazyWriter{w: w}
		err := fn(lazy, r)
		if err != nil && !lazy.any {
			answerError(w, err)
		} else if err != nil {
			w.Header().Set(errorTrailer, strconv.QuoteToASCII(err.Error()))
		}
	}
}

// lazyWriter sends the header with the first byte.
type lazyWriter struct {
	w   http.ResponseWriter
	any bool
}

// Write implements io.Writer.
func (l *lazyWriter) Write(p []byte) (int, error) {
	if !l.any {
		l.any = true
		l.w.Header().Set("Content-Type", "application/gzip")
		l.w.Header().Set("Trailer", errorTrailer)
		l.w.WriteHeader(http.StatusOK)
	}
	return l.w.Write(p)
}

// postExport gives what is known of a source: events, alerts with their
// evidence, sessions, what is known of files he left, recordings.
func (k *desk) postExport(w io.Writer, r *http.Request) error {
	o, err := readOrder(r)
	if err != nil {
		return err
	}
	if err := k.judged(r.Context()); err != nil {
		return err
	}
	k.acts.Lock()
	defer k.acts.Unlock()
	if err := k.book.Note(r.Context(), casebook.Act{At: time.Now(), Who: o.who, Act: "export", Target: o.source.String(), Why: o.why, Result: "begun"}); err != nil {
		return err
	}
	p, err := newPack(w, k.dir)
	if err != nil {
		return err
	}
	if err := k.exportLines(r.Context(), p, o.source); err != nil {
		return fmt.Errorf("export %s: %w", o.source, err)
	}
	return p.close()
}

func (k *desk) exportLines(ctx context.Context, p *pack, s casebook.Source) error {
	where, err := sourceQuery(s)
	if err != nil {
		return err
	}
	if err := p.lines("events.ndjson", func(line func([]byte) error) error {
		if err := k.held(s, line); err != nil {
			return err
		}
		q := keep.Query{}
		q.Where = where
		return k.Read(ctx, q, line)
	}); err != nil {
		return err
	}
	q := casebook.Query{Source: s}
	if err := p.lines("alerts.ndjson", func(line func([]byte) error) error {
		return k.book.Alerts(ctx, q, func(a *alert.Alert) error {
			whole, err := k.book.Alert(ctx, a.ID)
			if err != nil {
				return err
			}
			data, err := whole.AppendJSON(nil)
			if err != nil {
				return err
			}
			return line(data)
		})
	}); err != nil {
		return err
	}
	var recordings []string
	if err := p.lines("sessions.ndjson", func(line func([]byte) error) error {
		return k.book.Sessions(ctx, q, func(x *casebook.Session) error {
			recordings = append(recordings, x.ID)
			return jsonLine(line, sessionLine(x))
		})
	}); err != nil {
		return err
	}
	if err := p.lines("captures.ndjson", func(line func([]byte) error) error {
		return k.book.Captures(ctx, q, func(c *casebook.Capture) error { return jsonLine(line, captureLine(c)) })
	}); err != nil {
		return err
	}
	for _, id := range recordings {
		name, err := k.dir.sessionFile(id)
		if err != nil {
			continue // an id of no form of ours has no recording
		}
		if err := p.file("recordings/"+id+".cast", name); err != nil {
			return err
		}
	}
	return nil
}

func jsonLine(line func([]byte) error, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return line(data)
}
