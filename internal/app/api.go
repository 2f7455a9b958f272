//go:build unix

package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/keep"
	"github.com/lapwing-defence/lapwing/internal/notify"
)

// keep opens the journal and the event log and sets the keeper to work.
func (o *HubOrders) keep(ctx context.Context, log *slog.Logger) (a *archive, stop func(), err error) {
	s := storageOf(o.Config)
	if err := o.Dir.saveStorage(s); err != nil {
		return nil, nil, err
	}
	a, err = o.Dir.openArchive(ctx, s, int64(o.Config.Journal.Limit), log)
	if err != nil {
		return nil, nil, err
	}
	h, err := o.hands(log)
	if err == nil {
		err = a.decide(ctx, o.Dir, s, h.backends, log)
	}
	if err != nil {
		a.Close()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	h.start(ctx, &wg, log)
	wg.Go(func() { a.respond.run(ctx, a.emit(o.Observer)) })
	wg.Go(func() { a.keeper.Run(ctx) }) //nolint:errcheck // it ends with ctx alone
	wg.Go(func() { a.judge.run(ctx) })
	wg.Go(func() { a.judge.rules.watch(ctx, log) })
	wg.Go(func() { a.lookback(ctx, o.Dir, s, o.Config.Scan.Indicators, log) })
	return a, func() { cancel(); wg.Wait(); a.Close() }, nil
}

// encode is a Query in a URL.
func (q Query) encode() url.Values {
	v := url.Values{}
	set := func(name, value string, is bool) {
		if is {
			v.Set(name, value)
		}
	}
	set("query", q.Where, q.Where != "")
	set("since", q.Since.UTC().Format(time.RFC3339Nano), !q.Since.IsZero())
	set("until", q.Until.UTC().Format(time.RFC3339Nano), !q.Until.IsZero())
	set("last", strconv.Itoa(q.Last), q.Last > 0)
	set("follow", "1", q.Follow)
	set("from", "end", q.FromEnd)
	return v
}

// decodeQuery is the inverse of encode.
func decodeQuery(v url.Values) (q Query, err error) {
	stamp := func(name string) (t time.Time) {
		if s := v.Get(name); s != "" && err == nil {
			t, err = time.Parse(time.RFC3339Nano, s)
		}
		return t
	}
	q = Query{Where: v.Get("query"), Since: stamp("since"), Until: stamp("until"), Follow: v.Get("follow") == "1", FromEnd: v.Get("from") == "end"}
	if s := v.Get("last"); s != "" && err == nil {
		q.Last, err = strconv.Atoi(s)
	}
	return q, err
}

// Status is how the keeping goes, as GET /status of the local API answers.
type Status struct {
	Journal  journal.Stats  `json:"journal"`
	Keeper   keep.Stats     `json:"keeper"`
	Judge    JudgeStats     `json:"judge"`
	EventLog eventlog.Stats `json:"event_log"`
	Notify   []notify.State `json:"notify,omitempty"`
	Trouble  string         `json:"trouble,omitempty"`
}

func (a *archive) status(ctx context.Context) Status {
	st := Status{Journal: a.spool.Stats(), Keeper: a.keeper.Stats(), Judge: a.judge.stats()}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var err error
	if st.EventLog, err = a.log.Stats(ctx); err != nil {
		st.Trouble = err.Error()
	}
	if st.Keeper.Trouble != "" {
		st.Trouble = st.Keeper.Trouble
	}
	return st
}

// apiHandler answers the local API: GET /events gives the events that a Query
// asks for as lines, GET /status how the keeping goes.
func apiHandler(a *desk) http.Handler {
	mux := http.NewServeMux()
	a.handle(mux)
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		q, err := decodeQuery(r.URL.Query())
		var k keep.Query
		if err == nil {
			k, err = q.archiveQuery()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a.serve(w, r, k)
	})
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		st := a.status(r.Context())
		if a.notify != nil {
			st.Notify = a.notify.Health()
		}
		json.NewEncoder(w).Encode(st) //nolint:errcheck // the client sees
	})
	return mux
}

// serve writes the events of a query.
func (a *archive) serve(w http.ResponseWriter, r *http.Request, q keep.Query) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Trailer", errorTrailer)
	w.WriteHeader(http.StatusOK)
	rc := http.NewResponseController(w)
	out := make([]byte, 0, 64<<10)
	flush := func() error {
		_, err := w.Write(out)
		out = out[:0]
		return errors.Join(err, rc.Flush())
	}
	q.Idle = flush
	err := a.Read(r.Context(), q, func(line []byte) error {
		if out = append(append(out, line...), '\n'); len(out) > 32<<10 {
			return flush()
		}
		return nil
	})
	flush() //nolint:errcheck // the client sees
	if err != nil && r.Context().Err() == nil {
		w.Header().Set(errorTrailer, strconv.QuoteToASCII(err.Error()))
	}
}
