package sshd

import (
	"bytes"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// TestHostKeyFiles wants public files that are the real keys, and private
// files that look like keys and are not the host's.
func TestHostKeyFiles(t *testing.T) {
	keys, err := NewHostKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	files, err := HostKeyFiles(keys, "files01")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	again, _ := HostKeyFiles(keys, "files01")
	dir := t.TempDir()
	for i, f := range files {
		if f.Content != again[i].Content {
			t.Errorf("%s is another at the second time", f.Path)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Path)), []byte(f.Content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range keys {
		signer, err := ssh.ParsePrivateKey(keys[i])
		if err != nil {
			t.Fatal(err)
		}
		pub, private := files[2*i], files[2*i+1]
		got, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(pub.Content))
		if err != nil || comment != "root@files01" || !bytes.Equal(got.Marshal(), signer.PublicKey().Marshal()) {
			t.Errorf("%s is not the public half: %v", pub.Path, err)
		}
		if private.Mode != 0o600 || private.Mark != host.MarkHostKey || pub.Mode != 0o644 || pub.Mark != "" {
			t.Errorf("%s has mode %o and mark %q, its public half %o and %q", private.Path, private.Mode, private.Mark, pub.Mode, pub.Mark)
		}
		if strings.Contains(string(keys[i]), strings.Split(private.Content, "\n")[4]) {
			t.Errorf("%s holds a line of the real key", private.Path)
		}
		// Whoever signs with it must not be taken for the host.
		if s, err := ssh.ParsePrivateKey([]byte(private.Content)); err == nil {
			sig, err := s.Sign(rand.Reader, []byte("challenge"))
			if err == nil && signer.PublicKey().Verify([]byte("challenge"), sig) == nil {
				t.Errorf("%s signs for the host", private.Path)
			}
		}
	}
	tool := sharedtest.Program(t, "ssh-keygen")
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		name := filepath.Join(dir, "ssh_host_"+kind+"_key")
		private, err1 := exec.Command(tool, "-lf", name).Output()
		public, err2 := exec.Command(tool, "-lf", name+".pub").Output()
		if err1 != nil || err2 != nil || len(private) == 0 || string(private) != string(public) {
			t.Errorf("ssh-keygen reads the files of %s as %q (%v) and %q (%v)", kind, private, err1, public, err2)
		}
	}
}
