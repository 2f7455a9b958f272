//go:build unix

package app

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/decoy/httpd"
	"github.com/lapwing-defence/lapwing/internal/decoy/sshd"
	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// identity is what makes one fake host: drawn at its first start, then kept.
type identity struct {
	Persona  *persona.Persona `json:"persona"`
	HostKeys [][]byte         `json:"host_keys"` // PEM
	TLS      []byte           `json:"tls"`       // certificate and key, PEM
	Password string           `json:"password"`  // of the weak credential, "" where the config names its own
}

// identity reads what host is, or draws it now. A host whose persona in the
// config changed is drawn anew; the old identity is kept beside it.
func (d Dir) identity(h config.Host, now time.Time) (*identity, error) {
	file := filepath.Join(d.personas(), h.Name+".json")
	data, err := os.ReadFile(file)
	if err == nil {
		var id identity
		if err := json.Unmarshal(data, &id); err != nil || id.Persona == nil {
			return nil, fmt.Errorf("read the persona %s: it is damaged; restore it from a backup, or remove it to draw a new one", file)
		}
		if id.Persona.Template == h.Persona {
			return &id, d.complete(&id, h)
		}
		if err := os.Rename(file, file+"."+id.Persona.Template); err != nil {
			return nil, fmt.Errorf("keep the old persona of %s: %w", h.Name, err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the persona of %s: %w", h.Name, err)
	}
	id, err := drawIdentity(h, now)
	if err != nil {
		return nil, err
	}
	return id, d.keepIdentity(id, h)
}

// complete draws what an identity of an older version does not have yet.
func (d Dir) complete(id *identity, h config.Host) error {
	if len(id.TLS) > 0 {
		return nil
	}
	var err error
	if id.TLS, err = httpd.NewCertificate(id.Persona.FQDN(), id.Persona.Boot); err != nil {
		return fmt.Errorf("draw the certificate of %s: %w", h.Name, err)
	}
	return d.keepIdentity(id, h)
}

func (d Dir) keepIdentity(id *identity, h config.Host) error {
	data, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("write the persona of %s: %w", h.Name, err)
	}
	if err := durable.WriteFile(filepath.Join(d.personas(), h.Name+".json"), data); err != nil {
		return fmt.Errorf("write the persona of %s: %w", h.Name, err)
	}
	return nil
}

func drawIdentity(h config.Host, now time.Time) (*identity, error) {
	var seed [8]byte
	rand.Read(seed[:])
	p, err := persona.Generate(h.Persona, binary.LittleEndian.Uint64(seed[:]), now)
	if err != nil {
		return nil, fmt.Errorf("draw the persona of %s: %w", h.Name, err)
	}
	keys, err := sshd.NewHostKeys(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw the host keys of %s: %w", h.Name, err)
	}
	cert, err := httpd.NewCertificate(p.FQDN(), p.Boot)
	if err != nil {
		return nil, fmt.Errorf("draw the certificate of %s: %w", h.Name, err)
	}
	return &identity{Persona: p, HostKeys: keys, TLS: cert, Password: weakPassword()}, nil
}

// weakPassword is one that a guesser finds and that no other installation has.
func weakPassword() string {
	words := []string{
		"admin", "welcome", "summer", "winter", "server", "backup", "support", "service", "system", "manager",
		"office", "company", "master", "monitor", "oracle", "deploy", "public", "secret", "letmein", "changeme",
	}
	return fmt.Sprintf("%s%d", words[draw(len(words))], 10+draw(9990))
}

func draw(n int) int {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic("app: the source of randomness failed: " + err.Error())
	}
	return int(v.Int64())
}
