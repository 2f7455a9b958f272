package pemod

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	_ "crypto/md5" //nolint:gosec // old signatures have it
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // as above
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"slices"
	"time"
	"unicode/utf16"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
)

// The attributes of a signer that are read.
const (
	oidMessageDigest = "1.2.840.113549.1.9.4"
	oidSigningTime   = "1.2.840.113549.1.9.5"
	oidCounter       = "1.2.840.113549.1.9.6"
	oidTimestamp     = "1.3.6.1.4.1.311.3.3.1"
	oidOpusInfo      = "1.3.6.1.4.1.311.2.1.12"
)

// signed is a PKCS #7 SignedData with its first signer.
type signed struct {
	content    []byte // what is signed: the element, with its header
	certs      []*x509.Certificate
	signed     bool // there is a signer
	signer     signerInfo
	cert       *x509.Certificate // of the signer, if it is there
	attributes map[string][]byte // the first value of each signed attribute
}

func parseSigned(b []byte) (*signed, bool) {
	var c contentInfo
	if _, err := asn1.Unmarshal(b, &c); err != nil {
		return nil, false
	}
	var d signedData
	if _, err := asn1.Unmarshal(c.Content.Bytes, &d); err != nil {
		return nil, false
	}
	s := &signed{content: d.Content.Content.Bytes, certs: certificates(d.Certificates.Bytes)}
	var info signerInfo
	if _, err := asn1.Unmarshal(d.Signers.Bytes, &info); err == nil {
		s.take(info)
	}
	return s, true
}

// take makes info the signer.
func (s *signed) take(info signerInfo) {
	s.signed, s.signer, s.attributes, s.cert = true, info, attributes(info.Signed.Bytes), nil
	for _, x := range s.certs {
		if info.ID.Serial != nil && x.SerialNumber.Cmp(info.ID.Serial) == 0 && bytes.Equal(x.RawIssuer, info.ID.Issuer.FullBytes) {
			s.cert = x
			return
		}
	}
}

// attributes gives the first value of each attribute, with its header.
func attributes(b []byte) map[string][]byte {
	out := map[string][]byte{}
	for len(b) > 0 && len(out) < maxCertificates {
		var a struct {
			Type   asn1.ObjectIdentifier
			Values asn1.RawValue
		}
		rest, err := asn1.Unmarshal(b, &a)
		if err != nil {
			break
		}
		b = rest
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(a.Values.Bytes, &first); err != nil {
			continue
		}
		if oid := a.Type.String(); out[oid] == nil {
			out[oid] = first.FullBytes
		}
	}
	if v := out[oidMessageDigest]; v != nil {
		var sum []byte
		if _, err := asn1.Unmarshal(v, &sum); err != nil {
			sum = nil
		}
		out[oidMessageDigest] = sum
	}
	return out
}

// chain is a certificate and those above it, as far as they are there.
func (s *signed) chain(c *x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for c != nil && len(out) < maxCertificates {
		out = append(out, c)
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			break
		}
		var above *x509.Certificate
		for _, x := range s.certs {
			if bytes.Equal(x.RawSubject, c.RawIssuer) && !slices.Contains(out, x) {
				above = x
				break
			}
		}
		c = above
	}
	return out
}

func hashOf(oid string) crypto.Hash {
	switch digestName(oid) {
	case "md5":
		return crypto.MD5
	case "sha1":
		return crypto.SHA1
	case "sha256":
		return crypto.SHA256
	case "sha384":
		return crypto.SHA384
	case "sha512":
		return crypto.SHA512
	}
	return 0
}

// holds tells whether the signer signed the content.
func (s *signed) holds() bool {
	var inner asn1.RawValue
	if _, err := asn1.Unmarshal(s.content, &inner); err != nil {
		return false
	}
	return s.holdsOf(inner.Bytes)
}

// holdsOf tells whether the signer signed content: the digest among his signed
// attributes is that of the content, and his key made the signature over them.
func (s *signed) holdsOf(content []byte) bool {
	h := hashOf(s.signer.Digest.Algorithm.String())
	if !s.signed || s.cert == nil || h == 0 {
		return false
	}
	text := content
	if attrs := s.signer.Signed.FullBytes; len(attrs) > 0 {
		if !bytes.Equal(sum(h, content), s.attributes[oidMessageDigest]) {
			return false
		}
		// They are signed as the SET that they are, not under their tag here.
		text = append([]byte{0x31}, attrs[1:]...)
	}
	switch key := s.cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, h, sum(h, text), s.signer.Signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, sum(h, text), s.signer.Signature)
	}
	return false
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

// programName is the name in a SpcSpOpusInfo: [0] around a text that is [0] of
// UTF-16 or [1] of ASCII.
func programName(b []byte) string {
	var info, name, text asn1.RawValue
	if _, err := asn1.Unmarshal(b, &info); err != nil || !fields(info.Bytes, &name) || name.Tag != 0 || name.Class != asn1.ClassContextSpecific {
		return ""
	}
	if !fields(name.Bytes, &text) {
		return ""
	}
	if text.Tag != 0 {
		return string(text.Bytes)
	}
	var units []uint16
	for t := text.Bytes; len(t) >= 2; t = t[2:] {
		units = append(units, uint16(t[0])<<8|uint16(t[1]))
	}
	return string(utf16.Decode(units))
}

// countersignatures are those that tell when a signature was made: by a signer
// within the same data, or in a token of a time server (RFC 3161).
func (s *signed) countersignatures() []module.Value {
	var out []module.Value
	unsigned := attributes(s.signer.Unsigned.Bytes)
	var info signerInfo
	if _, err := asn1.Unmarshal(unsigned[oidCounter], &info); err == nil {
		c := *s
		c.take(info)
		out = append(out, c.counter(c.attributes[oidSigningTime], c.attributes[oidMessageDigest], func() bool { return c.holdsOf(s.signer.Signature) }))
	}
	if c, ok := parseSigned(unsigned[oidTimestamp]); ok {
		out = append(out, c.token(s.signer.Signature))
	}
	return out
}

// counter makes the value of a countersignature.
func (s *signed) counter(when, digest []byte, holds func() bool) module.Value {
	chain := s.chain(s.cert)
	m := module.Fields{
		"digest_alg": module.Str(digestName(s.signer.Digest.Algorithm.String())), "digest": module.Str(hex.EncodeToString(digest)),
		"chain": certList(chain), "length_of_chain": module.Of(len(chain)), "verified": module.Later(func() module.Value { return module.Yes(holds()) }),
	}
	var t time.Time
	if _, err := asn1.Unmarshal(when, &t); err == nil {
		m["sign_time"] = module.Of(unix(t))
	}
	return module.Record(m)
}

// token makes the value of a time stamp over a signature.
func (s *signed) token(signature []byte) module.Value {
	var text []byte
	if _, err := asn1.Unmarshal(s.content, &text); err != nil {
		return s.counter(nil, nil, func() bool { return false })
	}
	var info struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint struct {
			Algorithm asn1.RawValue
			Digest    []byte
		}
		Serial asn1.RawValue
		Time   asn1.RawValue
	}
	// What follows is optional and not read.
	var raw asn1.RawValue
	if _, err := asn1.Unmarshal(text, &raw); err != nil {
		return s.counter(nil, nil, func() bool { return false })
	}
	if !fields(raw.Bytes, &info.Version, &info.Policy, &info.Imprint, &info.Serial, &info.Time) {
		return s.counter(nil, nil, func() bool { return false })
	}
	var oid asn1.ObjectIdentifier
	fields(info.Imprint.Algorithm.Bytes, &oid)
	return s.counter(info.Time.FullBytes, info.Imprint.Digest, func() bool {
		h := hashOf(oid.String())
		return h != 0 && bytes.Equal(sum(h, signature), info.Imprint.Digest) && s.holdsOf(text)
	})
}

// fields reads elements that stand one after the other.
func fields(b []byte, to ...any) bool {
	for _, p := range to {
		rest, err := asn1.Unmarshal(b, p)
		if err != nil {
			return false
		}
		b = rest
	}
	return true
}

// digests are the hashes of a file as Authenticode takes them: without the
// checksum, the entry of the table of certificates, and the table.
type digests struct {
	f        *file
	at, size int64 // of the table
	sums     map[string][]byte
}

// of gives the hash of an algorithm, or nil.
func (d *digests) of(oid string) []byte {
	if s, has := d.sums[oid]; has {
		return s
	}
	h := hashOf(oid)
	if h == 0 {
		return nil
	}
	optional := d.f.header + 24
	entry := optional + 128 // of the table, in the header's list of directories
	if d.f.plus {
		entry += 16
	}
	w := h.New()
	whole := true
	next := int64(0)
	for _, skip := range [][2]int64{{optional + 64, 4}, {entry, 8}, {d.at, d.size}} {
		whole = whole && skip[0] >= next && d.f.v.Range(next, skip[0]-next, func(b []byte) { w.Write(b) })
		next = skip[0] + skip[1]
	}
	size := d.f.v.Size()
	whole = whole && next <= size && d.f.v.Range(next, size-next, func(b []byte) { w.Write(b) })
	if d.sums == nil {
		d.sums = map[string][]byte{}
	}
	if whole {
		d.sums[oid] = w.Sum(nil)
	} else {
		d.sums[oid] = nil
	}
	return d.sums[oid]
}
