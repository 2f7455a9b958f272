package kernel

import (
	"strconv"
	"sync"
)

// nameCache keeps the names of ids until the view changes: a listing asks for
// them once a row.
type nameCache struct {
	mu   sync.Mutex
	gen  [2]uint64
	byID [2]map[uint32]string // users, groups
}

func (c *nameCache) of(m *Machine, id uint32, read func() map[uint32]string, kind int) string {
	gen := m.FS.Generation()
	c.mu.Lock()
	if c.byID[kind] == nil || c.gen[kind] != gen {
		c.byID[kind], c.gen[kind] = read(), gen
	}
	name, ok := c.byID[kind][id]
	c.mu.Unlock()
	if !ok {
		return strconv.FormatUint(uint64(id), 10)
	}
	return name
}
