package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Watcher is one inotify instance. Dir, File and Remove are for one goroutine;
// what C gives may be read by another.
type Watcher struct {
	fd   int
	file *os.File
	out  chan []Event
	done chan struct{}
}

const (
	dirMask  = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	fileMask = unix.IN_MODIFY
	queue    = 16 // batches between the kernel and who reads C; behind it the kernel keeps up to its own limit
)

// New makes a Watcher.
func New() (*Watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch files: %w; raise fs.inotify.max_user_instances where it is used up", err)
	}
	w := &Watcher{fd: fd, file: os.NewFile(uintptr(fd), "inotify"), out: make(chan []Event, queue), done: make(chan struct{})}
	go w.read()
	return w, nil
}

// C gives what changed, in order. It is closed after Close.
func (w *Watcher) C() <-chan []Event { return w.out }

// Dir watches what appears in, goes from and changes its rights in a directory.
// The same directory gives the same id.
func (w *Watcher) Dir(path string) (int, error) { return w.add(path, dirMask) }

// File watches what is written to a file, under whatever name it has later. The
// same file gives the same id.
func (w *Watcher) File(path string) (int, error) { return w.add(path, fileMask) }

func (w *Watcher) add(path string, mask uint32) (int, error) {
	id, err := unix.InotifyAddWatch(w.fd, path, mask)
	if errors.Is(err, unix.ENOSPC) {
		return -1, fmt.Errorf("watch %s: %w; raise fs.inotify.max_user_watches", path, err)
	}
	if err != nil {
		return -1, fmt.Errorf("watch %s: %w", path, err)
	}
	return id, nil
}

// Remove ends a watch; one that is gone is no error.
func (w *Watcher) Remove(id int) { unix.InotifyRmWatch(w.fd, uint32(id)) } //nolint:errcheck // gone is what is wanted

// Close ends all watches.
func (w *Watcher) Close() error {
	err := w.file.Close()
	for range w.out { // what waits is not wanted any more
	}
	<-w.done
	return err
}

func (w *Watcher) read() {
	defer close(w.done)
	defer close(w.out)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return
		}
		if events := parse(buf[:n]); len(events) > 0 {
			w.out <- events
		}
	}
}

// parse reads inotify_event structures; what follows a broken one is left out.
func parse(b []byte) []Event {
	var out []Event
	for len(b) >= unix.SizeofInotifyEvent {
		id := int(int32(binary.NativeEndian.Uint32(b)))
		mask := binary.NativeEndian.Uint32(b[4:])
		size := uint64(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if size > uint64(len(b)) {
			break
		}
		name, _, _ := bytes.Cut(b[:size], []byte{0})
		b = b[size:]
		e := Event{ID: id, Name: string(name), Gone: mask&unix.IN_IGNORED != 0, Overflow: mask&unix.IN_Q_OVERFLOW != 0}
		if k := len(out) - 1; k >= 0 && out[k] == e {
			continue
		}
		out = append(out, e)
	}
	return out
}
