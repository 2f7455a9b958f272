package token

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// random are long runs of letters, in which any word may come by chance.
var random = regexp.MustCompile(`[A-Za-z0-9+/=]{20,}`)

// telling are words that a planted file must not have. Some are a word of the
// format: those are taken out first.
func telling(content string) []string {
	content = strings.ReplaceAll(content, "_authToken", "") // npm's own word
	content = strings.ToLower(random.ReplaceAllString(content, ""))
	var out []string
	for _, word := range []string{"canary", "token", "lapwing", "honey", "decoy", "bait", "trap", "fake", "planted"} {
		if strings.Contains(content, word) {
			out = append(out, word)
		}
	}
	return out
}

// TestKinds makes many of each kind: no file says what it is, all differ, times
// are plausible, and the register's names make the same token again.
func TestKinds(t *testing.T) {
	const draws = 20
	m := testMaster(t, 5)
	for _, k := range Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			seen, users := map[string]string{}, map[string]bool{}
			for range draws {
				id, err := NewID(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				row := &Token{ID: id, Kind: k.Name, Host: "web01.example", Owner: "anna", Zone: "corp.example", Created: testTime, Door: Door{"files", "", "192.0.2.1:2222"}}
				if len(k.Services) > 0 {
					row.Door.Type = k.Services[0]
				}
				near := Surroundings{HostKeys: []string{testHostKey}, Certificate: "PEM\n", Name: "files.example"}
				made, err := m.Make(row, near)
				if err != nil {
					t.Fatal(err)
				}
				second, err := m.Make(row.clone(), near)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(made.Values, second.Values); d != "" || len(made.Files)+len(made.Values) == 0 {
					t.Errorf("values (-first +second):\n%s", d)
				}
				for i, f := range made.Files {
					again := second.Files
					if words := telling(f.Path + "\n" + string(f.Content)); words != nil {
						t.Errorf("%s says %q:\n%s", f.Path, words, f.Content)
					}
					if !fs.ValidPath(f.Path) || len(f.Content) == 0 || f.Mode == 0 {
						t.Errorf("%s: mode %o, %d bytes", f.Path, f.Mode, len(f.Content))
					}
					if age := testTime.Sub(f.Time).Hours() / 24; f.Time != row.Created && (age < 29 || age > 735) {
						t.Errorf("%s was changed %.0f days before", f.Path, age)
					}
					if strings.Contains(f.Path, "known_hosts") || f.Path == ".aws/config" || strings.Contains(f.Path, ".git/") && !strings.HasSuffix(f.Path, "config") {
						continue // the same for all
					}
					if other, ok := seen[string(f.Content)]; ok {
						t.Errorf("%s has the content of %s", f.Path, other)
					}
					seen[string(f.Content)] = f.Path
					if again[i].Path != f.Path || !bytes.Contains(f.Content, []byte("PRIVATE KEY")) && k.Name != "kubeconfig" && !bytes.Equal(again[i].Content, f.Content) {
						t.Errorf("%s is %s the second time:\n%s", f.Path, again[i].Path, again[i].Content)
					}
				}
				if user := row.Names["user"]; user != "" {
					users[user] = true
				}
			}
			if len(users) > 0 && len(users) < draws-2 {
				t.Errorf("only %d of %d user names differ", len(users), draws)
			}
		})
	}
}

func TestFindKind(t *testing.T) {
	if _, err := FindKind("nonsense"); err == nil || !strings.Contains(err.Error(), "ssh") {
		t.Errorf("%v", err)
	}
	if _, err := testMaster(t, 1).Make(&Token{Kind: "ssh", Door: Door{Address: "no port"}}, Surroundings{}); err == nil {
		t.Error("an address without a port is taken")
	}
	if _, err := testMaster(t, 1).Make(&Token{Kind: "ssh", Door: Door{Address: "a:1"}}, Surroundings{}); err == nil {
		t.Error("an SSH token without a host key is made")
	}
}

// TestSSHFiles: the private key is the one that the index knows, and the
// entry names it.
func TestSSHFiles(t *testing.T) {
	m, w := testWatch(t)
	row, files := testToken(t, m, w, Token{ID: ID{4}, Kind: "ssh", Door: Door{"files", "ssh", "backup.example:22"}})
	signer, err := ssh.ParsePrivateKey(files[0].Content)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := w.Index.Fingerprint(ssh.FingerprintSHA256(signer.PublicKey())); !ok || id != row.ID {
		t.Errorf("the key is of %s, %v", id, ok)
	}
	conf := string(files[2].Content)
	for _, want := range []string{"HostName backup.example\n", "User " + row.Names["user"] + "\n", "IdentityFile ~/" + files[0].Path + "\n", "Host " + row.Names["alias"] + "\n"} {
		if !strings.Contains(conf, want) {
			t.Errorf("the entry lacks %q:\n%s", want, conf)
		}
	}
	if strings.Contains(conf, "Port") {
		t.Errorf("the entry names the standard port:\n%s", conf)
	}
	if got := string(files[3].Content); got != "backup.example "+testHostKey+"\n" {
		t.Errorf("known_hosts: %s", got)
	}
}

// TestIndexClash: a name that another token has is not taken.
func TestIndexClash(t *testing.T) {
	m, w := testWatch(t)
	row, _ := testToken(t, m, w, Token{ID: ID{4}, Kind: "ssh", Door: Door{"files", "ssh", "a:22"}})
	other := row.clone()
	other.ID = ID{5}
	if clash, err := w.Index.Add(other); err != nil || clash == nil || *clash != row.ID {
		t.Errorf("clash %v, %v", clash, err)
	}
	var names []string
	w.Index.Users(func(s string) { names = append(names, s) })
	if len(names) != 1 || names[0] != row.Names["user"] {
		t.Errorf("names %q", names)
	}
}
