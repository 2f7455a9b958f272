package token

import (
	"math/big"
	"strings"
	"sync"
)

// By says what gave a token away.
type By string

// What gives a token away. Those of the first group hold a sealed id, so that
// they are recognised without the register; the others are looked up.
const (
	ByPassword By = "password"
	ByBearer   By = "bearer"
	ByPath     By = "url path"
	ByName     By = "dns name"
	BySerial   By = "certificate"

	ByUser      By = "user name"
	ByKey       By = "ssh key"
	ByAccessKey By = "access key"
	ByMail      By = "mail address"
	ByDatabase  By = "database"
)

// Spoofable tells of what may come from somebody who has not been where the
// token lies: a link that a crawler or a mail gateway follows, a DNS query that
// a resolver asks again.
func (b By) Spoofable() bool { return b == ByPath || b == ByName }

// sure orders what several fields of one event give away: what is a secret
// counts more than what is a name.
func (b By) sure() int {
	switch b {
	case ByPassword, ByBearer, ByKey, BySerial, ByAccessKey:
		return 3
	case ByPath, ByName:
		return 1
	}
	return 2
}

// Index recognises tokens in what events report. It is safe for concurrent use.
type Index struct {
	m *Master

	mu  sync.RWMutex
	ids map[sign]ID
}

type sign struct {
	by   By
	text string
}

// NewIndex makes an empty Index.
func NewIndex(m *Master) *Index { return &Index{m: m, ids: map[sign]ID{}} }

// signs are what a token is looked up by.
func (m *Master) signs(t *Token) ([]sign, error) {
	var out []sign
	for key, by := range map[string]By{"user": ByUser, "mail": ByMail, "database": ByDatabase, "access_key": ByAccessKey} {
		if v := t.Names[key]; v != "" {
			out = append(out, sign{by, fold(v)})
		}
	}
	if t.Kind == "ssh" {
		f, err := m.fingerprint(t.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, sign{ByKey, f})
	}
	return out, nil
}

// fold makes names equal that services take as equal.
func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// Add makes a token known. Clash is another one that has a name of it already:
// it is not added then.
func (x *Index) Add(t *Token) (clash *ID, err error) {
	signs, err := x.m.signs(t)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range signs {
		if id, ok := x.ids[s]; ok && id != t.ID && s.by != ByDatabase {
			return &id, nil
		}
	}
	for _, s := range signs {
		x.ids[s] = t.ID
	}
	return nil, nil
}

// Users calls fn with every user name that is a token's.
func (x *Index) Users(fn func(string)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for s := range x.ids {
		if s.by == ByUser {
			fn(s.text)
		}
	}
}

func (x *Index) look(by By, text string) (ID, bool) {
	if text == "" || len(text) > 320 {
		return ID{}, false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	id, ok := x.ids[sign{by, text}]
	return id, ok
}

// User recognises a user name: alone, in a mail address, as DOMAIN\name or as
// the first part of a distinguished name.
func (x *Index) User(name string) (ID, By, bool) {
	name = fold(name)
	if id, ok := x.look(ByUser, name); ok {
		return id, ByUser, true
	}
	for _, by := range []By{ByMail, ByAccessKey} {
		if id, ok := x.look(by, name); ok {
			return id, by, true
		}
	}
	short := name
	if _, rest, ok := strings.Cut(short, `\`); ok {
		short = rest
	}
	if at := strings.LastIndexByte(short, '@'); at > 0 {
		short = short[:at]
	}
	if rdn, _, _ := strings.Cut(short, ","); rdn != short || strings.Contains(rdn, "=") {
		_, short, _ = strings.Cut(rdn, "=")
		short = strings.TrimSpace(short)
	}
	if short == name {
		return ID{}, "", false
	}
	id, ok := x.look(ByUser, short)
	return id, ByUser, ok
}

// Fingerprint recognises an SSH public key by SHA256:… as OpenSSH shows it.
func (x *Index) Fingerprint(s string) (ID, bool) { return x.look(ByKey, s) }

// Password recognises a password, or whatever else is typed as a secret.
func (x *Index) Password(s string) (ID, bool) { return x.words(s, len62, letters62) }

// words looks for a sealed id in s, as a whole run of letters and digits or at
// the end or beginning of one.
func (x *Index) words(s string, n int, letters string) (ID, bool) {
	if len(s) > 4096 {
		return ID{}, false
	}
	for _, run := range strings.FieldsFunc(s, func(r rune) bool { return r >= 0x80 || strings.IndexByte(letters, byte(r)) < 0 }) {
		if len(run) < n {
			continue
		}
		if id, ok := x.m.openWord(run[:n], letters); ok {
			return id, true
		}
		if id, ok := x.m.openWord(run[len(run)-n:], letters); ok {
			return id, true
		}
	}
	return ID{}, false
}

// Path recognises the path of a URL.
func (x *Index) Path(s string) (ID, bool) {
	for from := 0; from+lenUUID <= len(s) && from < 4096; from++ {
		if s[from+8] != '-' || s[from+13] != '-' || s[from+14] != '4' {
			continue
		}
		if id, ok := x.m.openUUID(s[from:][:lenUUID]); ok {
			return id, true
		}
	}
	return ID{}, false
}

// Name recognises a name of the DNS by one of its labels. Resolvers mix upper
// and lower case.
func (x *Index) Name(s string) (ID, bool) {
	if len(s) > 255 {
		return ID{}, false
	}
	return x.words(strings.ToLower(s), len32, letters32)
}

// Serial recognises the serial number of a client certificate, in hex or decimal.
func (x *Index) Serial(s string) (ID, bool) {
	if len(s) > 64 {
		return ID{}, false
	}
	for _, base := range []int{16, 10} {
		if v, ok := new(big.Int).SetString(strings.ReplaceAll(s, ":", ""), base); ok {
			if id, ok := x.m.open(v); ok {
				return id, true
			}
		}
	}
	return ID{}, false
}
