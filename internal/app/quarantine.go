//go:build unix

package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/quarantine"
	"github.com/lapwing-defence/lapwing/internal/vault"
)

// quarantineQuota bounds the sealed contents, bytes.
const quarantineQuota = 64 << 30

// Quarantine opens the quarantine of the data directory, which may be in use
// by a running instance; another command that works on it is waited for.
func (d Dir) Quarantine(ctx context.Context) (*quarantine.Store, func(), error) {
	if err := d.Create(); err != nil {
		return nil, nil, err
	}
	sealed := d.Path("quarantine", "sealed")
	if err := os.MkdirAll(sealed, 0o700); err != nil {
		return nil, nil, err
	}
	unlock, err := d.lock(ctx, "quarantine.lock", 10*time.Second)
	if err != nil {
		return nil, nil, err
	}
	key, err := d.key("quarantine")
	if err != nil {
		unlock()
		return nil, nil, err
	}
	v, err := vault.Open(sealed, key, quarantineQuota)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	s, err := quarantine.Open(quarantine.Config{Dir: d.Path("quarantine", "items"), Vault: v, Now: time.Now, NewID: newItemID})
	if err != nil {
		unlock()
		return nil, nil, err
	}
	return s, unlock, nil
}

func newItemID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
