package system

import (
	"context"
	"crypto/md5"  //nolint:gosec // as the visitor asked
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// openssl answers version, rand, dgst, passwd and base64.
func openssl(_ context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	if len(args) == 0 {
		complain(p, "help:\n\nStandard commands\nasn1parse         ca                ciphers           cmp               \nenc               engine            errstr            passwd            \nrand              rsa               s_client          version           \n")
		return 0
	}
	verb, args := args[0], args[1:]
	switch verb {
	case "version":
		_, v, _ := strings.Cut(p.M.Persona.SSH.ClientText, ", ")
		put(p, "%s (Library: %[1]s)\n", v)
		return 0
	case "rand":
		return opensslRand(p, args)
	case "passwd":
		return opensslPasswd(p, args)
	case "dgst", "md5", "sha1", "sha256", "sha512":
		return opensslDigest(p, verb, args)
	case "enc", "base64":
		return opensslBase64(p, verb, args)
	case "s_client", "genrsa", "req", "x509", "rsa", "ciphers", "speed", "pkey":
		complain(p, "Could not open file or uri for loading\n%d error", 1)
		return 1
	}
	complain(p, "Invalid command '%s'; type \"help\" for a list.", verb)
	return 1
}

func opensslRand(p *kernel.Proc, args []string) int {
	o := getopt.Parse(opensslArgs(args), "", "hex base64 out=")
	n := 0
	if len(o.Args) > 0 {
		n, _ = strconv.Atoi(o.Args[0])
	}
	buf := make([]byte, min(max(n, 0), 1<<16))
	p.M.Rand.Read(buf) //nolint:errcheck // it never fails
	text := string(buf)
	switch {
	case o.Has("hex"):
		text = fmt.Sprintf("%x\n", buf)
	case o.Has("base64"):
		text = base64.StdEncoding.EncodeToString(buf) + "\n"
	}
	put(p, "%s", text)
	return 0
}

// opensslArgs turns -hex into --hex.
func opensslArgs(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if len(a) > 2 && a[0] == '-' && a[1] != '-' {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}

func opensslPasswd(p *kernel.Proc, args []string) int {
	o := getopt.Parse(opensslArgs(args), "156", "apr1 salt= stdin")
	var pw string
	switch {
	case o.Has("stdin"):
		pw = readLine(p)
	case len(o.Args) > 0:
		pw = o.Args[0]
	default:
		pw = secret(p, "Password: ")
		secret(p, "Verifying - Password: ")
	}
	salt := o.Get("salt")
	if salt == "" {
		salt = drawn(p, 8)
	}
	switch {
	case o.Has("6"):
		put(p, "%s\n", shaCrypt(512, salt, pw))
	case o.Has("5"):
		put(p, "%s\n", shaCrypt(256, salt, pw))
	case o.Has("apr1"):
		put(p, "%s\n", md5crypt("$apr1$", salt, pw))
	default:
		put(p, "%s\n", md5crypt("$1$", salt, pw))
	}
	return 0
}

func opensslDigest(p *kernel.Proc, verb string, args []string) int {
	kind := "sha256"
	var files []string
	for _, a := range append([]string{"-" + verb}, args...) {
		switch a {
		case "-md5", "-sha1", "-sha256", "-sha512":
			kind = a[1:]
		default:
			if !strings.HasPrefix(a, "-") {
				files = append(files, a)
			}
		}
	}
	digest := func() hash.Hash {
		switch kind {
		case "md5":
			return md5.New() //nolint:gosec // as asked
		case "sha1":
			return sha1.New() //nolint:gosec // as asked
		case "sha512":
			return sha512.New()
		}
		return sha256.New()
	}
	if len(files) == 0 {
		h := digest()
		h.Write(readAll(p, p.Stdin(), 8<<20))
		put(p, "%s(stdin)= %x\n", map[string]string{"md5": "MD5", "sha1": "SHA1", "sha256": "SHA2-256", "sha512": "SHA2-512"}[kind], h.Sum(nil))
		return 0
	}
	for _, f := range files {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(f), 8<<20)
		if err != nil {
			complain(p, "%s: %s", f, err)
			return 1
		}
		h := digest()
		h.Write(data)
		put(p, "%s(%s)= %x\n", map[string]string{"md5": "MD5", "sha1": "SHA1", "sha256": "SHA2-256", "sha512": "SHA2-512"}[kind], f, h.Sum(nil))
	}
	return 0
}

func opensslBase64(p *kernel.Proc, verb string, args []string) int {
	o := getopt.Parse(opensslArgs(args), "edaAi", "base64 in= out=")
	if verb == "enc" && !o.Has("base64", "a") {
		complain(p, "bad decrypt")
		return 1
	}
	var data []byte
	if f := o.Get("in"); f != "" {
		var err error
		if data, err = p.M.FS.ReadFile(p.Caller, p.Abs(f), 8<<20); err != nil {
			complain(p, "Can't open \"%s\" for reading, %s", f, err)
			return 1
		}
	} else {
		data = readAll(p, p.Stdin(), 8<<20)
	}
	if o.Has("d") {
		out, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(data), "\n", ""))
		if err != nil {
			complain(p, "error reading input file")
			return 1
		}
		put(p, "%s", out)
		return 0
	}
	text := base64.StdEncoding.EncodeToString(data)
	for len(text) > 64 {
		put(p, "%s\n", text[:64])
		text = text[64:]
	}
	put(p, "%s\n", text)
	return 0
}
