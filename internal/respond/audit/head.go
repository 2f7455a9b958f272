package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Head is what a checkpoint says: so many entries have this hash together.
type Head struct {
	Size int64
	Root tlog.Hash
}

// origin is the first line of a checkpoint, and the name of the key.
const origin = "lapwing-audit"

// Key signs checkpoints and verifies them.
type Key struct {
	signer   note.Signer // nil: it only verifies
	verifier note.Verifier
	public   string
}

// NewKey makes the key of a seed of 32 bytes.
func NewKey(seed []byte) (*Key, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("the key of the audit log has %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	public, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("the key of the audit log cannot be used")
	}
	text, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return nil, fmt.Errorf("the key of the audit log: %w", err)
	}
	k, err := NewVerifier(text)
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(text, "+")
	id, _, _ := strings.Cut(rest, "+")
	const ed = "\x01" // note's number of Ed25519
	if k.signer, err = note.NewSigner("PRIVATE+KEY+" + origin + "+" + id + "+" + base64.StdEncoding.EncodeToString([]byte(ed+string(seed)))); err != nil {
		return nil, fmt.Errorf("the key of the audit log: %w", err)
	}
	return k, nil
}

// NewVerifier makes a key that only verifies, of the text that Public gives.
func NewVerifier(public string) (*Key, error) {
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return nil, fmt.Errorf("the key %.100q verifies no checkpoint: %w", public, err)
	}
	return &Key{verifier: v, public: strings.TrimSpace(public)}, nil
}

// Public is what others verify checkpoints with.
func (k *Key) Public() string { return k.public }

// sign is the text of a signed head.
func (k *Key) sign(h Head) (string, error) {
	if k.signer == nil {
		return "", errors.New("this key only verifies")
	}
	text := origin + "\n" + strconv.FormatInt(h.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(h.Root[:]) + "\n"
	data, err := note.Sign(&note.Note{Text: text}, k.signer)
	return string(data), err
}

// Parse verifies the text of a checkpoint and gives what it says.
func (k *Key) Parse(text string) (Head, error) {
	n, err := note.Open([]byte(text), note.VerifierList(k.verifier))
	if err != nil {
		return Head{}, fmt.Errorf("the checkpoint is not signed by %s: %w", k.public, err)
	}
	for _, sig := range n.Sigs { // else a bit of the text could change and mean the same
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return Head{}, fmt.Errorf("the signature of the checkpoint is not as it was written: %w", err)
		}
	}
	f := strings.Split(n.Text, "\n")
	if len(f) != 4 || f[0] != origin || f[3] != "" {
		return Head{}, fmt.Errorf("the checkpoint %.100q is none of an audit log", n.Text)
	}
	size, err := strconv.ParseInt(f[1], 10, 64)
	root, rerr := base64.StdEncoding.DecodeString(f[2])
	if err != nil || rerr != nil || size < 0 || len(root) != tlog.HashSize {
		return Head{}, fmt.Errorf("the checkpoint %.100q is none of an audit log", n.Text)
	}
	return Head{size, tlog.Hash(root)}, nil
}

const headSize = 1024 // bytes, so that it is written in place in one go

func writeHead(dir, text string) error {
	if len(text) > headSize {
		return fmt.Errorf("a head of %d bytes", len(text))
	}
	f, err := os.OpenFile(filepath.Join(dir, "head"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(append([]byte(text), make([]byte, headSize-len(text))...), 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// HeadText is the text of the signed head of the log in dir; without an entry it is
// empty.
func HeadText(dir string) (string, error) {
	text, err := headText(dir)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return text, err
}

func headText(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "head"))
	if err != nil {
		return "", err
	}
	if len(data) != headSize {
		return "", fmt.Errorf("the signed head has %d bytes, want %d", len(data), headSize)
	}
	text, pad, _ := bytes.Cut(data, []byte{0})
	if len(bytes.Trim(pad, "\x00")) > 0 {
		return "", errors.New("the signed head has something behind its end")
	}
	return string(text), nil
}

func readHead(dir string, k *Key) (Head, error) {
	text, err := headText(dir)
	if err != nil {
		return Head{}, err
	}
	return k.Parse(text)
}

// addCheckpoint keeps a signed head among the old ones, unless it is the last.
func addCheckpoint(dir, text string) error {
	old, whole, err := checkpoints(dir)
	if err != nil || len(old) > 0 && old[len(old)-1] == text {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, "checkpoints"), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("keep the checkpoint: %w", err)
	}
	_, err = f.WriteAt([]byte(text+checkpointEnd), whole) // over what a crash cut short
	return errors.Join(err, f.Sync(), f.Close())
}

const checkpointEnd = "\x00\n"

// checkpoints are the old signed heads, and where the last whole one ends.
func checkpoints(dir string) (texts []string, whole int64, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "checkpoints"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the checkpoints: %w", err)
	}
	for rest := string(data); ; {
		text, after, ok := strings.Cut(rest, checkpointEnd)
		if !ok {
			return texts, whole, nil
		}
		texts, rest = append(texts, text), after
		whole += int64(len(text) + len(checkpointEnd))
	}
}
