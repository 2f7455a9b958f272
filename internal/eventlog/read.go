package eventlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A page is what is read and put in order at once.
const (
	pageRows  = 20_000
	pageBytes = 32 << 20
	firstPage = 15 * time.Minute
	lastSort  = 5_000 // Last up to which the store sorts in its memory; beyond, rows are skipped
)

// patience is how long a store that went away between two pages is waited
// for: it is being started again. No page is given out before it is whole, so
// nothing comes twice.
const patience = 10 * time.Second

var errPage = errors.New("too much for one page")

// Read implements Reader. A copy of an event, should there be one, is left out.
func (c *Client) Read(ctx context.Context, q Query, fn func(line []byte) error) error {
	var err error
	switch {
	case q.Last > lastSort:
		err = c.skip(ctx, q, fn)
	case q.Last > 0:
		var rows []row
		if rows, err = c.newest(ctx, q); overMemory(err) {
			err = c.skip(ctx, q, fn)
		} else if err == nil {
			p := printer{fn: fn}
			err = p.rows(rows)
		}
	default:
		err = c.pages(ctx, q, fn)
	}
	if err != nil {
		return fmt.Errorf("read the event log: %w", err)
	}
	return nil
}

// overMemory tells whether the store refused to sort so much.
func overMemory(err error) bool {
	return err != nil && strings.Contains(err.Error(), "of memory")
}

// skip reads everything but what comes before the last.
func (c *Client) skip(ctx context.Context, q Query, fn func(line []byte) error) error {
	n, err := c.Count(ctx, q)
	if err != nil {
		return err
	}
	var i int64
	return c.pages(ctx, q, func(line []byte) error {
		if i++; i <= n-int64(q.Last) {
			return nil
		}
		return fn(line)
	})
}

// row is a row of an answer and what orders it.
type row struct {
	data []byte
	time time.Time
	id   string
}

func newRow(data []byte) row {
	r := row{data: bytes.Clone(data)}
	(&scanner{data: r.data}).each(func(f field) { //nolint:errcheck // Restore tells
		switch {
		case len(f.value) < 3:
		case string(f.name) == columnTime:
			r.time, _ = time.Parse(time.RFC3339Nano, string(unquoted(f.value))) // zero when it is none
		case string(f.name) == "event.id":
			r.id = string(unquoted(f.value))
		}
	})
	return r
}

func sortRows(rows []row) {
	slices.SortFunc(rows, func(a, b row) int {
		if c := a.time.Compare(b.time); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
}

// windows are the spans in which the newest events are looked for: what is
// asked for is mostly young, and looking costs by the span.
func windows() []time.Duration {
	return []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 0}
}

// newest is the last rows; of several at one nanosecond it may be any.
func (c *Client) newest(ctx context.Context, q Query) (rows []row, err error) {
	end := q.Range.To
	if end.IsZero() {
		end = time.Now()
	}
	for _, w := range windows() {
		r := q.Range
		if from := end.Add(-w); w > 0 && from.After(r.From) {
			r.From = from
		} else {
			w = 0
		}
		rows, err = c.collect(ctx, q.Where.String()+" | sort by (_time) desc limit "+strconv.Itoa(q.Last), r, false)
		if w == 0 || err != nil || len(rows) == q.Last {
			break
		}
	}
	sortRows(rows)
	return rows, err
}

// pages reads everything in order, a page at a time. The span of a page
// follows from how full the last one was.
func (c *Client) pages(ctx context.Context, q Query, fn func(line []byte) error) error {
	r, err := c.extent(ctx, q)
	if err != nil {
		return err
	}
	p := printer{fn: fn}
	for width := firstPage; r.From.Before(r.To); {
		page := Range{From: r.From, To: r.From.Add(width)}
		if page.To.After(r.To) || !page.To.After(page.From) {
			page.To = r.To
		}
		rows, err := c.collect(ctx, q.Where.String(), page, page.To.Sub(page.From) > 1)
		for end := time.Now().Add(patience); errors.Is(err, ErrAway) && time.Now().Before(end); {
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
			rows, err = c.collect(ctx, q.Where.String(), page, page.To.Sub(page.From) > 1)
		}
		if errors.Is(err, errPage) {
			width = max(page.To.Sub(page.From)/4, 1)
			continue
		}
		if err != nil {
			return err
		}
		sortRows(rows)
		if err := p.rows(rows); err != nil {
			return err
		}
		r.From = page.To
		if len(rows) < pageRows/4 {
			width *= 2
		}
	}
	return nil
}

// collect reads the rows of a span into memory: where bound is set, those of a
// page at most.
func (c *Client) collect(ctx context.Context, logsql string, r Range, bound bool) (rows []row, err error) {
	size := 0
	err = c.Raw(ctx, logsql, r, func(data []byte) error {
		if size += len(data); bound && (size > pageBytes || len(rows) >= pageRows) {
			return errPage
		}
		rows = append(rows, newRow(data))
		return nil
	})
	return rows, err
}

// extent is the span that q's events fill, zero where there are none.
func (c *Client) extent(ctx context.Context, q Query) (Range, error) {
	var r Range
	err := c.Raw(ctx, q.Where.String()+" | stats min(_time) lo, max(_time) hi", q.Range, func(row []byte) error {
		var v struct{ Lo, Hi time.Time }
		if json.Unmarshal(row, &v) == nil { // an empty log gives empty texts
			r = Range{From: v.Lo, To: v.Hi.Add(1)}
		}
		return nil
	})
	return r, err
}

// printer turns rows into lines.
type printer struct {
	fn   func(line []byte) error
	line []byte
	last string // the id before
}

func (p *printer) rows(rows []row) error {
	for i := range rows {
		if err := p.row(rows[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) row(r row) error {
	if r.id != "" && r.id == p.last {
		return nil
	}
	p.last = r.id
	line, err := Restore(p.line[:0], r.data)
	if err != nil {
		return err
	}
	p.line = line
	return p.fn(line)
}

// Count implements Reader. Rows are counted, copies too.
func (c *Client) Count(ctx context.Context, q Query) (int64, error) {
	return c.number(ctx, q.Where.String()+" | stats count() n", q.Range)
}

// Tail implements Reader. Events come about a second after they are visible.
func (c *Client) Tail(ctx context.Context, q Query, fn func(line []byte) error) error {
	v := q.Range.form(q.Where.String())
	v.Del("start")
	v.Del("end")
	v.Set("offset", "1s")
	p := printer{fn: fn}
	err := c.rows(ctx, "/select/logsql/tail", v, func(data []byte) error { return p.row(newRow(data)) })
	var s StatusError
	if errors.As(err, &s) && s.Code == http.StatusBadRequest {
		return QueryError{Query: q.Where.String(), At: -1, Text: s.Text}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was asked to stop
	}
	return err
}
