//go:build unix

package app

import (
	"context"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/lapwing-defence/lapwing/internal/eventlog/victoria"
)

// StoreOrders is what the supervisor tells the store process.
type StoreOrders struct {
	Dir       Dir           `json:"dir"`
	Retention time.Duration `json:"retention"`
}

// The memory of the store process: what it may use for its caches and for
// rows that are not on disk yet, and what makes it collect garbage harder.
const (
	storeCaches = 256 << 20
	storeMemory = 512 << 20
)

// RunStore is the store process: the event log, and nothing else.
func RunStore(ctx context.Context) error {
	var o StoreOrders
	ctl, err := openControl(&o)
	if err != nil {
		return err
	}
	debug.SetGCPercent(300)
	limitMemory(storeMemory)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go tend(ctx, true)
	go func() { lines(ctl.conn, func(string) {}); cancel() }()
	unlock, err := o.Dir.lock(ctx, "store.lock", 15*time.Second)
	if err != nil {
		return err
	}
	defer unlock()
	ln, err := listenUnix(o.Dir.storeSocket())
	if err != nil {
		return fatal(ctl, err)
	}
	return victoria.Serve(ctx, victoria.Config{
		Dir: o.Dir.eventLog(), Retention: o.Retention, Memory: storeCaches, MinFree: minFree(o.Dir.eventLog()),
	}, ln, func() error { return ctl.tell("ready") })
}

// minFree is how much of its disk the store leaves free: what a merge needs,
// without which it would end, and where the journal goes on meanwhile. An
// eighth of the disk, at most 256 MiB.
func minFree(dir string) int64 {
	const most = 256 << 20
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0
	}
	return min(most, int64(st.Blocks)*int64(st.Bsize)/8) //nolint:unconvert // its type differs by platform
}

// storeChild is the store process as the supervisor, or a command on a
// stopped data directory, starts it.
func storeChild(dir Dir, retention time.Duration) *child {
	return &child{
		name: "store", args: []string{"store"}, orders: StoreOrders{dir, retention},
		grace: 15 * time.Second, ready: make(chan struct{}),
	}
}

// startStore starts the embedded event log, if there is one. Nothing waits for
// it: what happens meanwhile is in the journal.
func startStore(ctx context.Context, o UpOptions) (stop func()) {
	if o.Config.EventLog.URL != "" {
		return func() {}
	}
	c := storeChild(o.Dir, o.Config.Retention.Raw)
	c.stderr, c.log = o.Err, o.Log
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.run(ctx); err != nil {
			o.Log.Error("the event log cannot be started; events stay in the journal", "error", err)
		}
	}()
	return func() { cancel(); <-done }
}
