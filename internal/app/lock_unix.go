//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// LockedError says that another process holds the data directory.
type LockedError struct {
	Dir Dir
	PID int // 0 when unknown
}

// Error names the holder and the remedy.
func (e LockedError) Error() string {
	who := "another lapwing"
	if e.PID > 0 {
		who = "lapwing with process id " + strconv.Itoa(e.PID)
	}
	return fmt.Sprintf("the data directory %s is in use by %s: stop it, or choose another with --data DIR", e.Dir, who)
}

// lock takes the lock called name, waiting up to wait for its holder to end.
func (d Dir) lock(ctx context.Context, name string, wait time.Duration) (unlock func(), err error) {
	f, err := os.OpenFile(d.Path("run", name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, max(wait, time.Nanosecond))
	defer cancel()
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close() //nolint:errcheck // nothing was written
			return nil, fmt.Errorf("lock the data directory: %w", err)
		}
		select {
		case <-ctx.Done():
			e := LockedError{Dir: d, PID: readPID(f)}
			f.Close() //nolint:errcheck // nothing was written
			return nil, e
		case <-time.After(20 * time.Millisecond):
		}
	}
	f.Truncate(0)                                   //nolint:errcheck // the pid is a help for people
	f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0) //nolint:errcheck // as above
	return func() { f.Truncate(0); f.Close() }, nil //nolint:errcheck // closing unlocks
}

func readPID(f *os.File) int {
	var b [16]byte
	n, _ := f.ReadAt(b[:], 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return pid
}
