package pemod

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // thumbprints are SHA-1
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

const (
	maxSignatures   = 16
	maxCertificates = 64
	maxSignedData   = 4 << 20
)

func signatureType() *module.Type {
	cert := ints("version", "not_before", "not_after")
	module.Fill(cert, module.String, "thumbprint", "issuer", "subject", "algorithm", "algorithm_oid", "serial")
	cert["valid_on"] = validOn()
	sig := ints("version", "not_before", "not_after", "verified", "number_of_certificates", "number_of_countersignatures")
	module.Fill(sig, module.String, "thumbprint", "issuer", "subject", "algorithm", "algorithm_oid", "serial", "digest_alg", "digest", "file_digest")
	sig["valid_on"] = validOn()
	sig["certificates"] = module.ArrayOf(module.StructOf(cert))
	info := map[string]*module.Type{}
	module.Fill(info, module.String, "program_name", "digest", "digest_alg")
	info["chain"] = module.ArrayOf(module.StructOf(cert))
	info["length_of_chain"] = module.T(module.Int)
	sig["signer_info"] = module.StructOf(info)
	counter := ints("sign_time", "verified", "length_of_chain")
	module.Fill(counter, module.String, "digest", "digest_alg")
	counter["chain"] = module.ArrayOf(module.StructOf(cert))
	sig["countersignatures"] = module.ArrayOf(module.StructOf(counter))
	return module.ArrayOf(module.StructOf(sig))
}

func validOn() *module.Type {
	return module.FuncOf(module.Function{Args: "i", Result: module.T(module.Int), Call: func(_ *module.Call, recv module.Value, a []module.Value) module.Value {
		from, to := recv.Field("not_before"), recv.Field("not_after")
		if from.K == module.Undef || to.K == module.Undef {
			return module.Value{}
		}
		return module.Yes(a[0].I >= from.I && a[0].I <= to.I)
	}})
}

// The parts of a PKCS #7 SignedData that are read.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,optional,tag:0"`
}

type signedData struct {
	Version      int
	Digests      asn1.RawValue
	Content      contentInfo
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      asn1.RawValue
}

type issuerSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type signerInfo struct {
	Version   int
	ID        issuerSerial
	Digest    pkix.AlgorithmIdentifier
	Signed    asn1.RawValue `asn1:"optional,tag:0"`
	Cipher    pkix.AlgorithmIdentifier
	Signature []byte
	Unsigned  asn1.RawValue `asn1:"optional,tag:1"`
}

type indirectData struct {
	Data   asn1.RawValue
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Value     []byte
	}
}

// signatures reads the certificates behind the file, and says of each
// signature who made it and whether it is of this file. Whether the signer is
// to be trusted is not decided: neither the chain nor its dates are judged.
func (f *file) signatures(m module.Fields) {
	m["number_of_signatures"], m["is_signed"] = module.Of(0), module.Of(0)
	at, size := f.dirs[4][0], f.dirs[4][1]
	d := &digests{f: f, at: at, size: size}
	var out []module.Value
	for end := at + size; at > 0 && at+8 < end && len(out) < maxSignatures; {
		h := f.v.Full(at, 8)
		if h == nil {
			break
		}
		n, kind := u32(h, 0), u16(h, 6)
		if n < 8 || at+n > end {
			break
		}
		if kind == 2 {
			out = append(out, signature(append([]byte(nil), f.v.Bytes(at+8, min(n-8, maxSignedData))...), d, 0)...)
		}
		at += (n + 7) &^ 7
	}
	m["signatures"] = module.List(out)
	m["number_of_signatures"] = module.Of(len(out))
	m["is_signed"] = module.Later(func() module.Value {
		for _, s := range out {
			if s.Field("verified").I == 1 {
				return module.Of(1)
			}
		}
		return module.Of(0)
	})
}

// signature describes one SignedData, and those nested in it.
func signature(b []byte, digests *digests, depth int) []module.Value {
	d, ok := parseSigned(b)
	if !ok || depth > 4 {
		return nil
	}
	v := module.Fields{}
	if d.cert != nil {
		v = certFields(d.cert)
	}
	v["certificates"], v["number_of_certificates"] = certList(d.certs), module.Of(len(d.certs))
	info := module.Fields{}
	set := func(m module.Fields, name, s string) {
		if s != "" {
			m[name] = module.Str(s)
		}
	}
	if d.signed {
		chain := d.chain(d.cert)
		info["chain"], info["length_of_chain"] = certList(chain), module.Of(len(chain))
		info["digest_alg"] = module.Str(digestName(d.signer.Digest.Algorithm.String()))
		set(info, "digest", hex.EncodeToString(d.attributes[oidMessageDigest]))
		set(info, "program_name", programName(d.attributes[oidOpusInfo]))
	}
	v["signer_info"] = module.Record(info)
	counters := d.countersignatures()
	v["countersignatures"], v["number_of_countersignatures"] = module.List(counters), module.Of(len(counters))
	var ind indirectData
	if _, err := asn1.Unmarshal(d.content, &ind); err == nil {
		oid := ind.Digest.Algorithm.Algorithm.String()
		v["digest_alg"], v["digest"] = module.Str(digestName(oid)), module.Str(hex.EncodeToString(ind.Digest.Value))
		v["file_digest"] = module.Later(func() module.Value {
			if sum := digests.of(oid); sum != nil {
				return module.Str(hex.EncodeToString(sum))
			}
			return module.Value{}
		})
		v["verified"] = module.Later(func() module.Value {
			sum := digests.of(oid)
			return module.Yes(sum != nil && bytes.Equal(sum, ind.Digest.Value) && d.holds())
		})
	} else {
		v["verified"] = module.Of(0)
	}
	out := []module.Value{module.Record(v)}
	return append(out, nested(d.signer.Unsigned.Bytes, digests, depth)...)
}

func certList(certs []*x509.Certificate) module.Value {
	return module.Rows(len(certs), func(i int) module.Value { return module.Record(certFields(certs[i])) })
}

// nested finds further signatures among the unsigned attributes.
func nested(b []byte, digests *digests, depth int) []module.Value {
	var out []module.Value
	for len(b) > 0 && len(out) < maxSignatures {
		var a struct {
			Type   asn1.ObjectIdentifier
			Values asn1.RawValue
		}
		rest, err := asn1.Unmarshal(b, &a)
		if err != nil {
			return out
		}
		if a.Type.String() == "1.3.6.1.4.1.311.2.4.1" {
			out = append(out, signature(a.Values.Bytes, digests, depth+1)...)
		}
		b = rest
	}
	return out
}

func certificates(b []byte) []*x509.Certificate {
	var out []*x509.Certificate
	for len(b) > 0 && len(out) < maxCertificates {
		var raw asn1.RawValue
		rest, err := asn1.Unmarshal(b, &raw)
		if err != nil {
			return out
		}
		if c, err := x509.ParseCertificate(raw.FullBytes); err == nil {
			out = append(out, c)
		}
		b = rest
	}
	return out
}

func certFields(c *x509.Certificate) module.Fields {
	sum := sha1.Sum(c.Raw) //nolint:gosec // as above
	oid := signatureOID(c)
	return module.Fields{
		"thumbprint": module.Str(hex.EncodeToString(sum[:])),
		"issuer":     module.Str(oneLine(c.RawIssuer)), "subject": module.Str(oneLine(c.RawSubject)),
		"version": module.Of(c.Version), "serial": module.Str(serial(c.SerialNumber)),
		"algorithm": module.Str(algorithmName(oid)), "algorithm_oid": module.Str(oid),
		"not_before": module.Of(unix(c.NotBefore)), "not_after": module.Of(unix(c.NotAfter)),
	}
}

func unix(t time.Time) int64 { return t.Unix() }

func serial(n *big.Int) string {
	b := n.Bytes()
	if len(b) == 0 {
		b = []byte{0}
	}
	if b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	parts := make([]string, len(b))
	for i, x := range b {
		parts[i] = fmt.Sprintf("%02x", x)
	}
	return strings.Join(parts, ":")
}

func signatureOID(c *x509.Certificate) string {
	var outer struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.Raw, &outer); err != nil {
		return ""
	}
	return outer.Algorithm.Algorithm.String()
}

func algorithmName(oid string) string {
	switch oid {
	case "1.2.840.113549.1.1.4":
		return "md5WithRSAEncryption"
	case "1.2.840.113549.1.1.5":
		return "sha1WithRSAEncryption"
	case "1.2.840.113549.1.1.11":
		return "sha256WithRSAEncryption"
	case "1.2.840.113549.1.1.12":
		return "sha384WithRSAEncryption"
	case "1.2.840.113549.1.1.13":
		return "sha512WithRSAEncryption"
	case "1.2.840.113549.1.1.10":
		return "rsassaPss"
	case "1.2.840.10045.4.3.2":
		return "ecdsa-with-SHA256"
	case "1.2.840.10045.4.3.3":
		return "ecdsa-with-SHA384"
	}
	return oid
}

func digestName(oid string) string {
	switch oid {
	case "1.2.840.113549.2.5":
		return "md5"
	case "1.3.14.3.2.26":
		return "sha1"
	case "2.16.840.1.101.3.4.2.1":
		return "sha256"
	case "2.16.840.1.101.3.4.2.2":
		return "sha384"
	case "2.16.840.1.101.3.4.2.3":
		return "sha512"
	}
	return oid
}

// oneLine writes a name as OpenSSL does: /C=US/O=Example/CN=Name.
func oneLine(raw []byte) string {
	var seq pkix.RDNSequence
	if _, err := asn1.Unmarshal(raw, &seq); err != nil {
		return ""
	}
	var b strings.Builder
	for _, set := range seq {
		for _, a := range set {
			fmt.Fprintf(&b, "/%s=%v", attribute(a.Type.String()), a.Value)
		}
	}
	return b.String()
}

func attribute(oid string) string {
	switch oid {
	case "2.5.4.3":
		return "CN"
	case "2.5.4.5":
		return "serialNumber"
	case "2.5.4.6":
		return "C"
	case "2.5.4.7":
		return "L"
	case "2.5.4.8":
		return "ST"
	case "2.5.4.9":
		return "street"
	case "2.5.4.10":
		return "O"
	case "2.5.4.11":
		return "OU"
	case "2.5.4.15":
		return "businessCategory"
	case "2.5.4.17":
		return "postalCode"
	case "1.2.840.113549.1.9.1":
		return "emailAddress"
	case "0.9.2342.19200300.100.1.25":
		return "DC"
	case "1.3.6.1.4.1.311.60.2.1.3":
		return "jurisdictionC"
	case "1.3.6.1.4.1.311.60.2.1.2":
		return "jurisdictionST"
	case "1.3.6.1.4.1.311.60.2.1.1":
		return "jurisdictionL"
	}
	return oid
}
