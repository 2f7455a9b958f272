package yara_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/module"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/view"
)

func scanned(t *testing.T, r *yara.Rules, text []byte) []yara.Match {
	t.Helper()
	limits := yara.Limits{Steps: 200_000, Matches: 1000, Total: 10_000}
	res, err := r.Scan(t.Context(), bytes.NewReader(text), int64(len(text)), yara.ScanOptions{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return res.Matches
}

// FuzzRules compiles any text. What compiles means the same after it was saved
// and loaded, and finds the same twice.
func FuzzRules(f *testing.F) {
	for _, s := range []string{
		`rule a : t { meta: x = "y" n = -1 b = true strings: $a = "abc" wide nocase $b = { 01 ?2 [1-3] (04 | ~05) } $c = /a+b?\b/is condition: any of them and #a in (0..9) > 1 and @b[1] == 2 }`,
		`import "pe" import "elf" import "math" import "hash" rule a { condition: pe.imphash() == "x" or for any s in pe.sections : (s.name contains "t") or math.entropy(0, filesize) > 7 or elf.type == 2 or hash.md5(0, 4) == "" }`,
		`global private rule g { condition: 1 of (g*) } rule b { strings: $ = "a" xor(1-2) $_u = "b" base64 condition: for all of them : ($ at 0 or !( 1 ) == 2) }`,
		`rule a { condition: for 2 i in (1..3) : (uint16be(i) \ 2 % 3 << 1 == -1 ^ ~2) and not defined entrypoint and "a" iequals "A" }`,
	} {
		f.Add([]byte(s), []byte("abcabc\x01\x02MZ"))
	}
	f.Fuzz(func(t *testing.T, src, text []byte) {
		rules, problems := yara.Compile([]yara.Source{{Name: "f", Text: src}}, yara.Options{})
		for _, p := range problems {
			if p.Line < 1 || p.Message == "" {
				t.Errorf("%+v has no place or no words", p)
			}
		}
		if rules == nil {
			t.Fatal("no rules, not even none")
		}
		var saved bytes.Buffer
		if err := rules.Save(&saved); err != nil {
			t.Fatal(err)
		}
		loaded, err := yara.Load(&saved)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(src, []byte("time")) {
			return
		}
		if d := cmp.Diff(scanned(t, rules, text), scanned(t, loaded, text)); d != "" {
			t.Error(d)
		}
	})
}

// FuzzExpression holds any expression that Go and YARA share against Go.
func FuzzExpression(f *testing.F) {
	f.Add("a(b|c)+d?", []byte("abcd abd"))
	f.Add("[^a-c]{2,3}x*y", []byte("zzzy"))
	f.Add("(ab?){2,}c", []byte("aabc ababc"))
	f.Fuzz(func(t *testing.T, expr string, text []byte) {
		for _, c := range []byte(expr) {
			// Only what both read alike.
			if !bytes.ContainsRune([]byte("abcxyz01|()[]-*+{},. "), rune(c)) {
				t.Skip()
			}
		}
		for i, c := range text {
			text[i] = c & 0x7F
		}
		if len(text) > 2000 || len(expr) > 200 {
			t.Skip()
		}
		checkExpression(t, expr, "", text)
	})
}

// sealed puts body behind head with a right checksum.
func sealed(head, body []byte) []byte {
	b := append(append([]byte(nil), head...), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(b[len(head):], crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, body...)
}

// FuzzLoad reads any bytes behind a right checksum: rules or an error.
func FuzzLoad(f *testing.F) {
	rules, _ := yara.Compile([]yara.Source{{Name: "f", Text: []byte(`rule a { strings: $a = "abc" $b = /x.y/ condition: $a and #b > 1 }`)}}, yara.Options{})
	var saved bytes.Buffer
	if err := rules.Save(&saved); err != nil {
		f.Fatal(err)
	}
	f.Add(saved.Bytes()[18:], []byte("abc x.y"))
	head := saved.Bytes()[:14]
	if _, err := code.Decode(sealed(head, saved.Bytes()[18:])); err != nil {
		f.Fatal(err) // the seed must be good
	}
	f.Fuzz(func(t *testing.T, body, text []byte) {
		p, err := code.Decode(sealed(head, body))
		if err != nil {
			return
		}
		r, err := yara.LoadBytes(code.Encode(p))
		if err != nil {
			return
		}
		scanned(t, r, text)
	})
}

// FuzzModules gives any bytes to the modules: no field lies outside of them.
func FuzzModules(f *testing.F) {
	pe := make([]byte, 1024)
	copy(pe, "MZ")
	pe[60] = 64
	copy(pe[64:], "PE\x00\x00\x4c\x01\x02\x00")
	pe[84] = 0xE0
	copy(pe[88:], "\x0b\x01")
	f.Add(pe)
	f.Add([]byte("\x7fELF\x01\x01\x01\x00" + string(make([]byte, 100))))
	f.Add([]byte("\x7fELF\x02\x02\x01\x00" + string(make([]byte, 100))))
	modules := yara.Modules()
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, m := range modules {
			root, _ := m.Load(view.Of(b))
			for _, at := range []string{"entry_point"} {
				v := root.Field(at)
				if v.K == module.Int && v.I >= int64(len(b)) && name == "pe" {
					t.Errorf("%s.%s is %d of %d bytes", name, at, v.I, len(b))
				}
			}
			if n := root.Field("sections").Len(); n > 65536 {
				t.Errorf("%s has %d sections", name, n)
			}
		}
		rules, problems := yara.Compile([]yara.Source{{Name: "f", Text: []byte(moduleRule)}}, yara.Options{})
		if yara.Failed(problems) {
			t.Fatal(problems)
		}
		scanned(t, rules, b)
	})
}

const moduleRule = `import "pe" import "elf"
rule everything {
	condition:
		pe.imphash() == "x" or pe.exports("a") or pe.exports(/b/) or pe.imports("a", "b") or pe.imports(/a/, /b/) or pe.is_dll()
		or pe.calculate_checksum() == 1 or pe.rich_signature.version(1) or pe.section_index("x") == 1 or pe.locale(1) or pe.language(1)
		or pe.rva_to_offset(1) == 2 or pe.version_info["x"] == "y" or for any s in pe.signatures : (s.valid_on(1))
		or elf.telfhash() == "" or elf.import_md5() == "" or for any s in elf.symtab : (s.name == "x") or entrypoint == 1
}`
