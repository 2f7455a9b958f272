package token

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// sshKey is the key pair of a token.
func (m *Master) sshKey(id ID) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(m.derive(id, "ssh/1", ed25519.SeedSize))
}

// Signer is the key of a token of kind ssh.
func (m *Master) Signer(id ID) (ssh.Signer, error) { return ssh.NewSignerFromKey(m.sshKey(id)) }

// fingerprint is that of the public key, as OpenSSH shows it.
func (m *Master) fingerprint(id ID) (string, error) {
	pub, err := ssh.NewPublicKey(m.sshKey(id).Public())
	if err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(pub), nil
}

// ssh is a key that ~/.ssh/config uses for one host, with the host's key.
func (k *maker) ssh() ([]File, error) {
	if len(k.s.HostKeys) == 0 {
		return nil, errors.New("the decoy's host key is not known")
	}
	user := k.user("backup", "deploy", "rsync", "svc-backup", "ansible", "borg", "mirror", "restic", "sync", "svc-deploy")
	alias := k.name("alias", func() string {
		return k.pick("nas", "bak", "mirror", "store", "vault", "archive", "fs", "repo") + k.pick("", "-") + fmt.Sprintf("%02d", 1+k.rand.IntN(60))
	})
	file := k.name("file", func() string {
		return k.pick("id_ed25519_"+alias, alias+"_ed25519", "id_"+alias, alias, alias+".key", "key_"+alias)
	})
	comment := k.name("comment", func() string {
		return k.pick(k.owner()+"@"+k.short(), user+"@"+k.short(), user, alias+" "+k.owner())
	})
	block, err := ssh.MarshalPrivateKey(k.m.sshKey(k.t.ID), comment)
	if err != nil {
		return nil, err
	}
	pub, err := ssh.NewPublicKey(k.m.sshKey(k.t.ID).Public())
	if err != nil {
		return nil, err
	}
	made, used := k.changed(), k.changed()
	if used.Before(made) {
		made, used = used, made
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))) + " " + comment + "\n"
	return []File{
		{Path: ".ssh/" + file, Content: pem.EncodeToMemory(block), Mode: 0o600, Time: made},
		{Path: ".ssh/" + file + ".pub", Content: []byte(line), Mode: 0o644, Time: made},
		{Path: ".ssh/config", Content: k.sshBlock(alias, user, file), Mode: 0o600, Time: made, Append: true, Guard: []string{alias, k.host}},
		{Path: ".ssh/known_hosts", Content: []byte(k.bracketed("22") + " " + k.s.HostKeys[0] + "\n"), Mode: 0o600, Time: used, Append: true, Guard: []string{k.bracketed("22")}},
	}, nil
}

// sshBlock is the entry of ssh_config, indented as people do.
func (k *maker) sshBlock(alias, user, file string) []byte {
	indent := k.pick("  ", "    ", "\t")
	lines := []string{"HostName " + k.host}
	if k.port != "22" {
		lines = append(lines, "Port "+k.port)
	}
	lines = append(lines, "User "+user, "IdentityFile ~/.ssh/"+file)
	if k.rand.IntN(2) == 0 {
		lines = append(lines, "IdentitiesOnly yes")
	}
	return []byte("Host " + alias + "\n" + indent + strings.Join(lines, "\n"+indent) + "\n")
}
