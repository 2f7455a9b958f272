package sshd

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/host"
)

// HostKeyFiles are the files of /etc/ssh that go with the host keys: the
// public halves as they are, and private halves that are none. Such a file has
// the form of openssh-key-v1 and names the right public key, but its secret is
// drawn from a hash of the real one: with it nobody can be this host. Opening
// it is told as host.MarkHostKey.
func HostKeyFiles(keys [][]byte, hostname string) ([]host.Planted, error) {
	var out []host.Planted
	for _, k := range keys {
		signer, err := ssh.ParsePrivateKey(k)
		if err != nil {
			return nil, fmt.Errorf("parse a host key: %w", err)
		}
		pub := signer.PublicKey()
		kind := map[string]string{ssh.KeyAlgoED25519: "ed25519", ssh.KeyAlgoECDSA256: "ecdsa", ssh.KeyAlgoRSA: "rsa"}[pub.Type()]
		if kind == "" {
			continue
		}
		comment := "root@" + hostname
		path := "/etc/ssh/ssh_host_" + kind + "_key"
		out = append(out,
			host.Planted{Path: path + ".pub", Content: strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(pub)), "\n") + " " + comment + "\n", Mode: 0o644, AsBuilt: true},
			host.Planted{Path: path, Content: falsePrivate(pub, k, comment), Mode: 0o600, AsBuilt: true, Mark: host.MarkHostKey})
	}
	return out, nil
}

// falsePrivate is the text of a private key file for pub that holds no secret.
func falsePrivate(pub ssh.PublicKey, key []byte, comment string) string {
	n := byte(0)
	drawn := func(size int) []byte {
		var b []byte
		for len(b) < size {
			m := hmac.New(sha256.New, key)
			m.Write([]byte{'d', 'e', 'c', 'o', 'y', n})
			b = m.Sum(b)
			n++
		}
		return b[:size]
	}
	blob := pub.Marshal()
	parts := fields(blob)
	check := drawn(4)
	private := append(bytes.Clone(check), check...)
	str := func(b []byte) { private = append(binary.BigEndian.AppendUint32(private, uint32(len(b))), b...) }
	mpint := func(size int) { // positive and odd, of size bytes
		b := drawn(size)
		b[0], b[size-1] = b[0]&0x7f|0x40, b[size-1]|1
		str(b)
	}
	str(parts[0])
	switch pub.Type() {
	case ssh.KeyAlgoED25519:
		str(parts[1])
		str(append(drawn(32), parts[1]...))
	case ssh.KeyAlgoECDSA256:
		str(parts[1])
		str(parts[2])
		mpint(32)
	default: // rsa: e and n are public, in the other order
		str(parts[2])
		str(parts[1])
		bits := len(parts[2]) - 1
		mpint(bits)
		for range 3 {
			mpint(bits / 2)
		}
	}
	str([]byte(comment))
	for i := byte(1); len(private)%8 != 0; i++ {
		private = append(private, i)
	}
	var file []byte
	file = append(file, "openssh-key-v1\x00"...)
	for _, s := range []string{"none", "none", ""} {
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(s))), s...)
	}
	file = binary.BigEndian.AppendUint32(file, 1)
	for _, b := range [][]byte{blob, private} {
		file = append(binary.BigEndian.AppendUint32(file, uint32(len(b))), b...)
	}
	var text strings.Builder
	text.WriteString("-----BEGIN OPENSSH PRIVATE KEY-----\n")
	for b := base64.StdEncoding.EncodeToString(file); b != ""; {
		line := b[:min(70, len(b))]
		text.WriteString(line + "\n")
		b = b[len(line):]
	}
	text.WriteString("-----END OPENSSH PRIVATE KEY-----\n")
	return text.String()
}

// fields are the strings that a public key's blob is made of (RFC 4253, 6.6).
func fields(blob []byte) [][]byte {
	var out [][]byte
	for len(blob) >= 4 {
		n := binary.BigEndian.Uint32(blob)
		if uint64(n) > uint64(len(blob)-4) {
			break
		}
		out = append(out, blob[4:4+n])
		blob = blob[4+n:]
	}
	return out
}
