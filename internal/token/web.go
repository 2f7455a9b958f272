package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// origin is the URL of the web server without a path.
func (k *maker) origin() string {
	if k.t.Door.Type == "https" {
		return "https://" + strings.TrimSuffix(k.t.Door.Address, ":443")
	}
	return "http://" + strings.TrimSuffix(k.t.Door.Address, ":80")
}

// webUser draws who is to log in to a web server.
func (k *maker) webUser() (user, password string) {
	return k.user("ci", "deploy", "build", "svc-ci", "jenkins", "mirror", "release", "bot", "svc-deploy", "runner"), k.m.word62(k.t.ID)
}

// netrc is the entry of one machine.
func (k *maker) netrc() ([]File, error) {
	user, password := k.webUser()
	form := k.pick("machine %s login %s password %s\n", "machine %s\n  login %s\n  password %s\n", "machine %s\n\tlogin %s\n\tpassword %s\n")
	return []File{{Path: ".netrc", Content: fmt.Appendf(nil, form, k.host, user, password), Mode: 0o600, Time: k.changed(), Append: true, Guard: []string{k.host, "default"}}}, nil
}

// git is a clone that somebody left, with its remote, and the stored password.
func (k *maker) git() ([]File, error) {
	user, password := k.webUser()
	repo := k.name("repo", func() string {
		return k.pick("infra", "deploy", "scripts", "ansible", "website", "tools", "backup", "puppet") + k.pick("", "-old", "-legacy", "2")
	})
	origin, err := url.Parse(k.origin())
	if err != nil {
		return nil, err
	}
	origin.User = url.UserPassword(user, password)
	stored := origin.String() + "\n"
	origin.User = url.User(user)
	branch := k.pick("main", "master")
	dir, at := k.pick("", "src/", "git/", "work/")+repo+"/.git/", k.changed()
	conf := fmt.Sprintf("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n[remote \"origin\"]\n\turl = %s/git/%s.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"%[3]s\"]\n\tremote = origin\n\tmerge = refs/heads/%[3]s\n[credential]\n\thelper = store\n", origin, repo, branch)
	file := func(name, content string) File {
		return File{Path: dir + name, Content: []byte(content), Mode: 0o644, Time: at}
	}
	return []File{
		file("HEAD", "ref: refs/heads/"+branch+"\n"), file("config", conf),
		file("description", "Unnamed repository; edit this file 'description' to name the repository.\n"),
		file("refs/remotes/origin/HEAD", "ref: refs/remotes/origin/"+branch+"\n"), file("objects/info/packs", "\n"),
		{Path: ".git-credentials", Content: []byte(stored), Mode: 0o600, Time: at, Append: true, Guard: []string{k.host}},
	}, nil
}

// bearer is a word as the registry of npm hands them out: its last six letters
// are a checksum of the rest.
func (k *maker) bearer() string {
	fill := k.m.derive(k.t.ID, "npm/1", 9)
	for i, b := range fill {
		fill[i] = letters62[int(b)%62]
	}
	word := k.m.word62(k.t.ID) + string(fill)
	return "npm_" + word + inBase(big.NewInt(int64(crc32.ChecksumIEEE([]byte(word)))), letters62, 6)
}

// npmrc has a registry for one scope of packages, which counts for no other.
func (k *maker) npmrc() ([]File, error) {
	scope := k.name("scope", func() string {
		return k.pick("internal", "corp", "intra", "platform", "shared", "infra") + "-" + k.suffix()[:3]
	})
	text := fmt.Sprintf("@%s:registry=%s/npm/\n//%s/npm/:_authToken=%s\n", scope, k.origin(), strings.SplitN(k.origin(), "//", 2)[1], k.bearer())
	return []File{{Path: ".npmrc", Content: []byte(text), Mode: 0o600, Time: k.changed(), Append: true, Guard: []string{k.host}}}, nil
}

// pip is the configuration in a project that somebody left: in the place where
// pip looks by itself it would change what its owner installs.
func (k *maker) pip() ([]File, error) {
	user, password := k.webUser()
	u, err := url.Parse(k.origin() + "/simple/")
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword(user, password)
	text := fmt.Sprintf("[global]\nindex-url = %s\ntrusted-host = %s\n", u, k.host)
	if k.rand.IntN(2) == 0 {
		text += fmt.Sprintf("timeout = %d\n", 10*(1+k.rand.IntN(6)))
	}
	project := k.pick("worker", "api", "etl", "report", "scraper", "bot") + k.pick("", "-old", "-py", "2")
	return []File{{Path: k.pick("", "src/", "work/", "build/") + project + "/pip.conf", Content: []byte(text), Mode: 0o640, Time: k.changed(), Else: []string{project + "-" + k.suffix()[:2] + "/pip.conf"}}}, nil
}

// docker is the login to one registry.
func (k *maker) docker() ([]File, error) {
	user, password := k.webUser()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	data, err := json.MarshalIndent(map[string]any{"auths": map[string]any{k.t.Door.Address: map[string]string{"auth": auth}}}, "", "\t")
	if err != nil {
		return nil, err
	}
	names := k.shuffled(".docker/config.json.bak", ".docker/config.old.json", ".docker/"+k.short()+"/config.json")
	return []File{{Path: names[0], Content: append(data, '\n'), Mode: 0o600, Time: k.changed(), Else: names[1:]}}, nil
}

// aws is a profile that is used by its name alone, with an endpoint of its own.
func (k *maker) aws() ([]File, error) {
	id := k.name("access_key", func() string {
		return "AKIA" + strings.ToUpper(base32Lower().EncodeToString(k.m.derive(k.t.ID, "aws/1", 10)))
	})
	secret := base64.StdEncoding.EncodeToString(k.m.derive(k.t.ID, "aws secret/1", 30))
	profile := k.name("profile", func() string {
		return k.pick("backup", "offsite", "minio", "archive", "s3-onprem", "storage", "objects") + k.pick("", "-") + fmt.Sprintf("%02d", 1+k.rand.IntN(60))
	})
	at := k.changed()
	conf := fmt.Sprintf("[profile %s]\nregion = %s\noutput = json\nendpoint_url = %s\n", profile, k.pick("eu-central-1", "eu-west-1", "us-east-1"), k.origin())
	keys := fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", profile, id, secret)
	return []File{
		{Path: ".aws/config", Content: []byte(conf), Mode: 0o600, Time: at, Append: true, Guard: []string{profile}},
		{Path: ".aws/credentials", Content: []byte(keys), Mode: 0o600, Time: at, Append: true, Guard: []string{profile}},
	}, nil
}

// kube is a configuration set aside, with a client certificate of our own CA:
// its serial number is the sealed id, its subject the user.
func (k *maker) kube() ([]File, error) {
	if k.t.Door.Type != "https" || k.s.Certificate == "" {
		return nil, errors.New("it takes a decoy of type https and its certificate")
	}
	user := k.user("admin", "ci-deployer", "deployer", "cluster-admin", "ops", "helm", "argo")
	cluster := k.name("cluster", func() string {
		return k.pick("prod", "staging", "k8s", "edge", "onprem", "lab") + k.pick("", "-eu", "-01", "-2")
	})
	cert, key, err := k.clientCertificate(user)
	if err != nil {
		return nil, err
	}
	b64 := func(s []byte) string { return base64.StdEncoding.EncodeToString(s) }
	server := "    server: https://" + k.t.Door.Address + "\n"
	if k.s.Name != "" && k.s.Name != k.host {
		server += "    tls-server-name: " + k.s.Name + "\n"
	}
	text := "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: " + b64([]byte(k.s.Certificate)) + "\n" + server + "  name: " + cluster +
		"\ncontexts:\n- context:\n    cluster: " + cluster + "\n    user: " + user + "\n  name: " + user + "@" + cluster + "\ncurrent-context: " + user + "@" + cluster +
		"\nkind: Config\npreferences: {}\nusers:\n- name: " + user + "\n  user:\n    client-certificate-data: " + b64(cert) + "\n    client-key-data: " + b64(key) + "\n"
	names := k.shuffled(".kube/config.bak", ".kube/"+cluster+".yaml", ".kube/config-"+cluster, ".kube/config.old")
	return []File{{Path: names[0], Content: []byte(text), Mode: 0o600, Time: k.changed(), Else: names[1:]}}, nil
}

// ecKey is a key on P-256 that follows from the master key alone (id zero) or a
// token's id.
func (m *Master) ecKey(id ID, purpose string) (*ecdsa.PrivateKey, error) {
	for i := range 4 { // one scalar of 2^32 is none
		if key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), m.derive(id, fmt.Sprintf("%s/%d", purpose, i), 32)); err == nil {
			return key, nil
		}
	}
	return nil, errors.New("derive a key on P-256: no scalar found")
}

func (k *maker) clientCertificate(user string) (cert, key []byte, err error) {
	ca, err := k.m.ecKey(ID{}, "kubernetes ca/1")
	if err != nil {
		return nil, nil, err
	}
	own, err := k.m.ecKey(k.t.ID, "kubernetes/1")
	if err != nil {
		return nil, nil, err
	}
	from := k.t.Created.UTC().Truncate(24*time.Hour).AddDate(0, 0, -k.rand.IntN(60))
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "kubernetes"}, IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{
		SerialNumber: k.m.seal(k.t.ID), Subject: pkix.Name{CommonName: user, Organization: []string{"system:masters"}},
		NotBefore: from, NotAfter: from.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, &own.PublicKey, ca)
	if err != nil {
		return nil, nil, err
	}
	sec1, err := x509.MarshalECPrivateKey(own)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), nil
}
