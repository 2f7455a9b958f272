package plant

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/lapwing-defence/lapwing/internal/token"
)

// manifestFormat is the version of a bundle's manifest.
const manifestFormat = 1

// Manifest describes a bundle: what is to be put where, by hand or by whatever
// manages a machine.
type Manifest struct {
	Format int            `json:"format"`
	ID     token.ID       `json:"id"`
	Kind   string         `json:"kind"`
	Host   string         `json:"host"`
	Owner  string         `json:"owner,omitempty"`
	Files  []ManifestFile `json:"files"`
}

// ManifestFile is one file of a bundle.
type ManifestFile struct {
	Path   string      `json:"path"` // below the directory that it is planted in
	Source string      `json:"source"`
	SHA256 string      `json:"sha256"`
	Size   int64       `json:"size"` // bytes
	Mode   fs.FileMode `json:"mode"`
	Time   time.Time   `json:"time"`
	Append bool        `json:"append,omitempty"` // to be added to a file that is there
}

// Bundle gives the files of a bundle: a manifest, a note how to install it, and
// what is to be planted below files/. Parts is what the register keeps of it.
func Bundle(t *token.Token, files []token.File) (bundle []token.File, parts []token.Part, err error) {
	m := Manifest{Format: manifestFormat, ID: t.ID, Kind: t.Kind, Host: t.Host, Owner: t.Owner}
	for _, f := range files {
		sum := sha256.Sum256(f.Content)
		x := ManifestFile{f.Path, "files/" + f.Path, hex.EncodeToString(sum[:]), int64(len(f.Content)), f.Mode, f.Time, f.Append}
		m.Files = append(m.Files, x)
		parts = append(parts, token.Part{Path: x.Path, SHA256: x.SHA256, Size: x.Size, Whole: !x.Append, Time: x.Time})
		bundle = append(bundle, token.File{Path: x.Source, Content: f.Content, Mode: f.Mode, Time: f.Time})
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, nil, fmt.Errorf("write the bundle: %w", err)
	}
	return append(bundle,
		token.File{Path: "manifest.json", Content: append(data, '\n'), Mode: 0o600, Time: t.Created},
		token.File{Path: "INSTALL.txt", Content: note(t, files), Mode: 0o600, Time: t.Created},
	), parts, nil
}

// Tar writes files as an archive, below the directory name.
func Tar(w io.Writer, name string, files []token.File) error {
	tw := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Name: name + "/" + f.Path, Size: int64(len(f.Content)), Mode: int64(f.Mode), ModTime: f.Time, Format: tar.FormatPAX}
		err := tw.WriteHeader(h)
		if err == nil {
			_, err = tw.Write(f.Content)
		}
		if err != nil {
			return fmt.Errorf("write the bundle: %w", err)
		}
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

// note tells a person how to install a bundle.
func note(t *token.Token, files []token.File) []byte {
	var b bytes.Buffer
	owner := t.Owner
	if owner == "" {
		owner = "its owner"
	}
	fmt.Fprintf(&b, "Token %s of kind %s, to be planted on %s in %s.\nThis note and manifest.json stay with you: do not copy them there.\n\n", t.ID, t.Kind, t.Host, place(t))
	fmt.Fprintf(&b, "1. Look at every file below files/. Everything in it leads to one of your decoys (%s).\n", t.Door.Address)
	fmt.Fprintf(&b, "2. Make sure that the user name %q exists nowhere, and that nothing is overwritten.\n3. As %s, in that directory:\n\n", t.Names["user"], owner)
	for _, f := range files {
		switch {
		case f.Append:
			fmt.Fprintf(&b, "   cat files/%s >> %s\n", f.Path, f.Path)
		default:
			fmt.Fprintf(&b, "   test ! -e %[1]s && install -D -m %04[2]o files/%[1]s %[1]s && touch -d '%[3]s' %[1]s\n", f.Path, f.Mode, f.Time.Format(time.RFC3339))
		}
	}
	fmt.Fprintf(&b, "\n4. Try it: lapwing token verify %s\n", t.ID)
	return b.Bytes()
}

func place(t *token.Token) string {
	if t.Path != "" {
		return t.Path
	}
	return "a home directory"
}
