package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// InsertPath is where the embedded store takes events as they are in the
// journal, a line each, for the mark in the query's argument "mark". What is no
// event it leaves out.
const InsertPath = "/insert/events"

// StreamField is the only column that makes a stream of the store.
const StreamField = "observer.name"

// InsertingMetric is the number of requests at InsertPath that are being worked on.
const InsertingMetric = "lapwing_inserting"

// Insert implements Writer.
func (c *Client) Insert(ctx context.Context, mark string, b *Batch) error {
	if b.Len() == 0 {
		return nil
	}
	var err error
	if c.cfg.Socket != "" { // our own: it takes the lines as they are
		_, err = c.answer(ctx, InsertPath, url.Values{"mark": {mark}}, b.lines)
	} else {
		_, err = c.answer(ctx, "/insert/jsonline", url.Values{"_stream_fields": {StreamField}, "_time_field": {columnTime}, "extra_fields": {columnMark + "=" + mark}}, b.jsonRows())
	}
	if err != nil {
		return fmt.Errorf("insert into the event log: %w", err)
	}
	return nil
}

// flush makes what was inserted visible. It first waits until no insert of an
// earlier, broken connection is being worked on.
func (c *Client) flush(ctx context.Context) error {
	for {
		st, err := c.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Inserting == 0 {
			break
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	_, err := c.answer(ctx, "/internal/force_flush", nil, nil)
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dense is how long a span is looked through as a whole; rows outside are
// asked for by their ids.
const (
	dense    = time.Hour
	idsAtime = 500
)

// Missing implements Writer. The rows of one batch usually lie close
// together: their span is read as a whole. Rows far from the rest are asked
// for one by one, so that one wrong clock does not make it read a month.
func (c *Client) Missing(ctx context.Context, b *Batch) error {
	if b.Len() == 0 {
		return nil
	}
	if err := c.flush(ctx); err != nil {
		return fmt.Errorf("look for missing events: %w", err)
	}
	have := map[id]bool{}
	times := make([]int64, 0, b.Len())
	for i := range b.at {
		times = append(times, b.at[i].time)
	}
	slices.Sort(times)
	mid := time.Unix(0, times[len(times)/2])
	span := Range{From: mid.Add(-dense), To: mid.Add(dense)}
	var near Range
	var far []string
	for i := range b.at {
		if ref := &b.at[i]; span.holds(ref.time) {
			near = near.with(ref.time)
		} else {
			far = append(far, strconv.Quote(b.idText(ref)))
		}
	}
	note := func(row []byte) error {
		return (&scanner{data: row}).each(func(f field) {
			if string(f.name) == "event.id" && len(f.value) > 2 {
				if k := parseID(unescape(f.value)); b.have[k] {
					have[k] = true
				}
			}
		})
	}
	err := c.Raw(ctx, `* | fields "event.id"`, near, note)
	for len(far) > 0 && err == nil {
		n := min(len(far), idsAtime)
		err = c.Raw(ctx, `"event.id":in(`+strings.Join(far[:n], ",")+`) | fields "event.id"`, Range{}, note)
		far = far[n:]
	}
	if err != nil {
		return fmt.Errorf("look for missing events: %w", err)
	}
	b.remove(have)
	return nil
}

// Checkpoint implements Writer.
func (c *Client) Checkpoint(ctx context.Context, s Stretch) (int64, error) {
	err := c.flush(ctx)
	if err == nil {
		err = c.persist(ctx, s.Until)
	}
	if err != nil {
		return 0, fmt.Errorf("checkpoint of the event log: %w", err)
	}
	n, err := c.number(ctx, strconv.Quote(columnMark)+":="+strconv.Quote(s.Mark)+" | stats count() n", s.Span)
	if err != nil {
		return 0, fmt.Errorf("checkpoint of the event log: %w", err)
	}
	return n, nil
}

// persist returns nil when nothing is in the store's memory alone. A snapshot
// writes the parts that are there, but not those that are just being merged:
// hence the look afterwards.
func (c *Client) persist(ctx context.Context, until time.Time) error {
	for try := range 20 {
		if err := c.snapshot(ctx); err != nil {
			var s StatusError
			if errors.As(err, &s) && (s.Code == http.StatusNotFound || s.Code == http.StatusBadRequest || s.Code == http.StatusUnauthorized || s.Code == http.StatusForbidden) {
				return c.waited(until)
			}
			return err
		}
		st, err := c.Stats(ctx)
		if err != nil {
			return err
		}
		if st.InMemory == 0 && st.Pending == 0 {
			return nil
		}
		if err := pause(ctx, time.Duration(try+1)*10*time.Millisecond); err != nil {
			return err
		}
	}
	return ErrNotYet
}

// waited is persist where no snapshot can be made: on a cluster.
func (c *Client) waited(until time.Time) error {
	if left := 3*c.cfg.Flush - time.Since(until); left > 0 {
		return fmt.Errorf("%w: %s more", ErrNotYet, left.Round(time.Second))
	}
	return nil
}

func (c *Client) snapshot(ctx context.Context) error {
	data, err := c.answer(ctx, "/internal/partition/snapshot/create", nil, nil)
	if err != nil {
		return err
	}
	var paths []string
	if err := json.Unmarshal(data, &paths); err != nil {
		return StatusError{http.StatusNotFound, "no snapshots"} // a cluster gives no list
	}
	for _, p := range paths {
		if _, err := c.answer(ctx, "/internal/partition/snapshot/delete", url.Values{"path": {p}}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Snapshot calls fn with the directory of each snapshot of a partition, which
// does not change meanwhile. Only an embedded store's can be read.
func (c *Client) Snapshot(ctx context.Context, fn func(path string) error) error {
	err := c.flush(ctx)
	var data []byte
	if err == nil {
		data, err = c.answer(ctx, "/internal/partition/snapshot/create", nil, nil)
	}
	var paths []string
	if err == nil {
		err = json.Unmarshal(data, &paths)
	}
	for _, p := range paths {
		if err == nil {
			err = fn(p)
		}
		_, derr := c.answer(context.WithoutCancel(ctx), "/internal/partition/snapshot/delete", url.Values{"path": {p}}, nil)
		err = errors.Join(err, derr)
	}
	if err != nil {
		return fmt.Errorf("snapshot of the event log: %w", err)
	}
	return nil
}

// Forget implements Forgetter.
func (c *Client) Forget(ctx context.Context, where Expr) error {
	if where.Zero() {
		return errors.New("forget in the event log: everything is not a choice")
	}
	err := c.flush(ctx)
	if err == nil {
		_, err = c.answer(ctx, "/delete/run_task", url.Values{"filter": {where.String()}}, nil)
	}
	for err == nil {
		var data []byte
		if data, err = c.answer(ctx, "/delete/active_tasks", nil, nil); err != nil {
			break
		}
		if t := strings.TrimSpace(string(data)); t == "[]" || t == "" || t == "null" {
			var n int64
			if n, err = c.Count(ctx, Query{Where: where}); n == 0 && err == nil {
				return nil
			}
		}
		if err == nil {
			err = pause(ctx, 50*time.Millisecond)
		}
	}
	return fmt.Errorf("forget in the event log: %w", err)
}

// Stats is what the store counts.
type Stats struct {
	Rows      int64 // kept
	InMemory  int64 // of Rows, not on disk yet
	Pending   int64 // not even searchable yet
	Dropped   int64 // not kept, since the store began, for their time or form
	Bytes     int64 // on disk
	Free      int64 // bytes of its disk, embedded only
	ReadOnly  bool  // no room
	Inserting int64 // requests being worked on
}

// Stats asks for the counters.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var st Stats
	data, err := c.answer(ctx, "/metrics", nil, nil)
	if err != nil {
		return st, fmt.Errorf("counters of the event log: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name == "#" {
			continue
		}
		f, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		n := int64(f)
		base, label, _ := strings.Cut(name, "{")
		switch base {
		case "vl_storage_rows":
			st.Rows += n
			if strings.Contains(label, "inmemory") {
				st.InMemory += n
			}
		case "vl_pending_rows":
			if strings.Contains(label, `"storage"`) {
				st.Pending += n
			}
		case "vl_rows_dropped_total":
			st.Dropped += n
		case "vl_compressed_data_size_bytes":
			st.Bytes += n
		case "vl_data_size_bytes":
			if strings.Contains(label, "indexdb") {
				st.Bytes += n
			}
		case "vl_free_disk_space_bytes":
			st.Free = n
		case "vl_storage_is_read_only":
			st.ReadOnly = n != 0
		case "vl_insert_processors_count", InsertingMetric:
			st.Inserting += n
		}
	}
	return st, nil
}

// Merge asks the store to merge what it has on disk; it goes on by itself.
func (c *Client) Merge(ctx context.Context) error {
	_, err := c.answer(ctx, "/internal/force_merge", nil, nil)
	return err
}
