package yara_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"testing"
	"time"
)

// signer makes PKCS #7 data with a key and certificate of its own.
type signer struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newSigner(t *testing.T) *signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spec := &x509.Certificate{
		SerialNumber: big.NewInt(0x1234), Subject: pkix.Name{Organization: []string{"Works"}, CommonName: "Signer"},
		NotBefore: time.Unix(1_600_000_000, 0), NotAfter: time.Unix(1_900_000_000, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, spec, spec, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key: key, cert: cert}
}

// der writes an element around others.
func der(t *testing.T, class, tag int, inside ...[]byte) []byte {
	t.Helper()
	b, err := asn1.Marshal(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: bytes.Join(inside, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func value(t *testing.T, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func oid(t *testing.T, n ...int) []byte {
	t.Helper()
	return value(t, asn1.ObjectIdentifier(n))
}

// info makes a SignerInfo over content, with more attributes that are signed,
// and some that are not.
func (s *signer) info(t *testing.T, content []byte, unsigned []byte, more ...[]byte) []byte {
	t.Helper()
	const seq, set, ctx = asn1.TagSequence, asn1.TagSet, asn1.ClassContextSpecific
	sum := sha256.Sum256(content)
	attrs := append([][]byte{der(t, 0, seq, oid(t, 1, 2, 840, 113549, 1, 9, 4), der(t, 0, set, value(t, sum[:])))}, more...)
	hash := sha256.Sum256(der(t, 0, set, attrs...))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	algorithm := der(t, 0, seq, oid(t, 2, 16, 840, 1, 101, 3, 4, 2, 1))
	parts := [][]byte{
		value(t, 1), der(t, 0, seq, s.cert.RawIssuer, value(t, s.cert.SerialNumber)), algorithm, der(t, ctx, 0, attrs...),
		der(t, 0, seq, oid(t, 1, 2, 840, 113549, 1, 1, 1)), value(t, sig),
	}
	if unsigned != nil {
		counter := s.info(t, sig, nil, der(t, 0, seq, oid(t, 1, 2, 840, 113549, 1, 9, 5), der(t, 0, set, value(t, time.Unix(1_700_000_000, 0).UTC()))))
		parts = append(parts, der(t, ctx, 1, der(t, 0, seq, oid(t, 1, 2, 840, 113549, 1, 9, 6), der(t, 0, set, counter))))
	}
	return der(t, 0, seq, parts...)
}

// sign puts a signature behind a PE file whose header is at 64 and which has no
// table of certificates yet.
func (s *signer) sign(t *testing.T, file []byte) []byte {
	t.Helper()
	const seq, set, ctx = asn1.TagSequence, asn1.TagSet, asn1.ClassContextSpecific
	optional := 64 + 24
	at := len(file)
	h := sha256.New()
	h.Write(file[:optional+64])
	h.Write(file[optional+68 : optional+128])
	h.Write(file[optional+136:])
	algorithm := der(t, 0, seq, oid(t, 2, 16, 840, 1, 101, 3, 4, 2, 1))
	indirect := der(t, 0, seq, der(t, 0, seq, oid(t, 1, 3, 6, 1, 4, 1, 311, 2, 1, 15)), der(t, 0, seq, algorithm, value(t, h.Sum(nil))))
	var inner asn1.RawValue
	if _, err := asn1.Unmarshal(indirect, &inner); err != nil {
		t.Fatal(err)
	}
	name, err := asn1.Marshal(asn1.RawValue{Class: ctx, Tag: 0, Bytes: []byte("\x00T\x00o\x00o\x00l")})
	if err != nil {
		t.Fatal(err)
	}
	opus := der(t, 0, seq, oid(t, 1, 3, 6, 1, 4, 1, 311, 2, 1, 12), der(t, 0, set, der(t, 0, seq, der(t, ctx, 0, name))))
	data := der(t, 0, seq, value(t, 1), der(t, 0, set, algorithm), der(t, 0, seq, oid(t, 1, 3, 6, 1, 4, 1, 311, 2, 1, 4), der(t, ctx, 0, indirect)),
		der(t, ctx, 0, s.cert.Raw), der(t, 0, set, s.info(t, inner.Bytes, []byte{}, opus)))
	p7 := der(t, 0, seq, oid(t, 1, 2, 840, 113549, 1, 7, 2), der(t, ctx, 0, data))
	p7 = append(p7, make([]byte, -len(p7)&7)...)
	le := binary.LittleEndian
	out := packed(le, file, uint32(len(p7)+8), uint16(0x200), uint16(2), p7)
	le.PutUint32(out[optional+128:], uint32(at))
	le.PutUint32(out[optional+132:], uint32(len(p7)+8))
	return out
}

const signConditions = `
	pe.number_of_signatures == 1 and pe.signatures[0].subject == "/O=Works/CN=Signer" and pe.signatures[0].serial == "12:34"
	pe.signatures[0].digest_alg == "sha256" and pe.signatures[0].number_of_certificates == 1 and pe.signatures[0].valid_on(1700000000)
	pe.signatures[0].certificates[0].issuer == "/O=Works/CN=Signer" and pe.signatures[0].algorithm == "sha256WithRSAEncryption"
	pe.signatures[0].signer_info.program_name == "Tool" and pe.signatures[0].signer_info.digest_alg == "sha256"
	pe.signatures[0].signer_info.length_of_chain == 1 and pe.signatures[0].signer_info.chain[0].serial == "12:34"
	pe.signatures[0].number_of_countersignatures == 1 and pe.signatures[0].countersignatures[0].sign_time == 1700000000
	pe.signatures[0].countersignatures[0].verified == 1 and pe.signatures[0].countersignatures[0].length_of_chain == 1
`

func TestSignature(t *testing.T) {
	s := newSigner(t)
	file := s.sign(t, append(dotnetFile(), make([]byte, 16)...))
	good := `
		pe.signatures[0].verified == 1 and pe.is_signed and pe.signatures[0].digest == pe.signatures[0].file_digest`
	bad := `
		pe.signatures[0].verified == 0 and not pe.is_signed`
	changed := func(at int) []byte {
		b := append([]byte(nil), file...)
		b[at] ^= 1
		return b
	}
	t.Run("as signed", func(t *testing.T) { holds(t, "pe", signConditions+good, file, false) })
	t.Run("checksum changed", func(t *testing.T) { holds(t, "pe", signConditions+good, changed(64+24+64), false) })
	t.Run("code changed", func(t *testing.T) {
		holds(t, "pe", signConditions+bad+` and pe.signatures[0].digest != pe.signatures[0].file_digest`, changed(0x210), false)
	})
	t.Run("header changed", func(t *testing.T) { holds(t, "pe", signConditions+bad, changed(64+24+4), false) })
	t.Run("something behind it", func(t *testing.T) {
		holds(t, "pe", signConditions+bad, append(append([]byte(nil), file...), "more"...), false)
	})
	// The digest in the signature changed to fit a changed file: no longer what was signed.
	t.Run("digest forged", func(t *testing.T) {
		b := changed(0x210)
		old, now := authentihash(file), authentihash(b)
		if n := bytes.Count(b, old); n != 1 {
			t.Fatalf("the digest stands %d times in the file", n)
		}
		holds(t, "pe", signConditions+bad+` and pe.signatures[0].digest == pe.signatures[0].file_digest`, bytes.Replace(b, old, now, 1), false)
	})
	t.Run("cut", func(t *testing.T) { holds(t, "pe", `not pe.is_signed`, file[:len(file)-40], false) })
}

// authentihash is the SHA-256 of what is signed of a file that sign made.
func authentihash(file []byte) []byte {
	optional := 64 + 24
	h := sha256.New()
	h.Write(file[:optional+64])
	h.Write(file[optional+68 : optional+128])
	h.Write(file[optional+136 : binary.LittleEndian.Uint32(file[optional+128:])])
	return h.Sum(nil)
}
