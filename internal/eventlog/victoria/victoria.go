// Package victoria is the embedded event log: the VictoriaLogs code inside
// our binary. It serves VictoriaLogs' own HTTP API on a listener, in a process
// of its own: on a full disk or short of memory that code ends its process.
//
// VictoriaLogs keeps its settings and its storage in package variables, so a
// process can hold one store, and Serve works once.
package victoria

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/VictoriaLogs/app/vlinsert/insertutil"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlinsert/jsonline"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlselect"
	"github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/logger"
	"github.com/VictoriaMetrics/metrics"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
)

// Config is what Serve takes.
type Config struct {
	Dir       string
	Retention time.Duration // at least a day
	Memory    int64         // bytes for caches and for rows that are not on disk yet, 0 = 256 MiB
	MinFree   int64         // bytes of the disk below which it takes nothing more, 0 = 10 MB
	Flush     time.Duration // longest time in memory alone, 0 = 5 s
}

// MaxLine is the longest row that it takes, in bytes.
const MaxLine = 2<<20 - 64<<10

// Serve opens the store and answers on ln until ctx ends; then it writes what
// it has in memory and closes. ready is called once it answers. A store that
// cannot be opened ends the process.
func Serve(ctx context.Context, cfg Config, ln net.Listener, ready func() error) error {
	if err := set(cfg); err != nil {
		return err
	}
	if err := removeSnapshots(cfg.Dir); err != nil {
		return err
	}
	logger.InitNoLogFlags()
	vlstorage.Init()
	vlselect.Init()
	insertutil.SetLogRowsStorage(&vlstorage.Storage{}) // before anything can be inserted
	in := newInserter()
	srv := &http.Server{
		Handler: handler(in), ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	err := ready()
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-failed:
		}
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	srv.Shutdown(stop) //nolint:errcheck // what is not done in time is cut
	srv.Close()        //nolint:errcheck // as above
	in.flush(0)
	vlselect.Stop()
	vlstorage.Stop()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// set hands our settings to VictoriaLogs, which reads them as flags.
func set(cfg Config) error {
	if cfg.Memory <= 0 {
		cfg.Memory = 256 << 20
	}
	if cfg.MinFree <= 0 {
		cfg.MinFree = 10_000_000
	}
	if cfg.Flush <= 0 {
		cfg.Flush = 5 * time.Second
	}
	hours := max(int64(cfg.Retention.Hours()), 24)
	for _, f := range [][2]string{
		{"storageDataPath", cfg.Dir},
		{"retentionPeriod", strconv.FormatInt(hours, 10) + "h"},
		{"memory.allowedBytes", strconv.FormatInt(cfg.Memory, 10)},
		{"storage.minFreeDiskSpaceBytes", strconv.FormatInt(cfg.MinFree, 10)},
		{"inmemoryDataFlushInterval", cfg.Flush.String()},
		{"insert.maxLineSizeBytes", strconv.Itoa(MaxLine)},
		{"defaultMsgValue", ""},
		{"delete.enable", "true"},
		{"search.maxQueryDuration", "10m"},
		{"search.maxQueueDuration", "1m"},
		{"loggerLevel", "WARN"},
	} {
		if err := flag.CommandLine.Set(f[0], f[1]); err != nil {
			return fmt.Errorf("set up the event log: %s: %w", f[0], err)
		}
	}
	return flag.CommandLine.Parse(nil)
}

// removeSnapshots deletes what a checkpoint that was cut short left behind:
// each would hold the disk space of what is merged away later.
func removeSnapshots(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "partitions", "*", "snapshots", "*"))
	if err != nil {
		return err
	}
	for _, s := range found {
		if err := os.RemoveAll(s); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a stale snapshot: %w", err)
		}
	}
	return nil
}

// handler answers what Client asks.
func handler(in *inserter) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health":
			w.Write([]byte("OK")) //nolint:errcheck // the client sees
			return
		case "/metrics":
			metrics.WritePrometheus(w, false)
			return
		case eventlog.InsertPath:
			in.ServeHTTP(w, r)
			return
		case "/insert/jsonline":
			jsonline.RequestHandler(w, r)
			return
		case "/internal/force_flush":
			in.flush(0)
		}
		if vlselect.RequestHandler(w, r) || vlstorage.RequestHandler(w, r) {
			return
		}
		http.NotFound(w, r)
	}
}
