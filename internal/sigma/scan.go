package sigma

import (
	"math/bits"
	"strings"
	"unsafe"
)

// minScan is the length in bytes of the shortest literal that a scanner finds.
const minScan = 4

// maxLiteral is longer than any literal of a rule.
const maxLiteral = 1 << 30

// scanner finds which of many literals occur in a text, looking at each place
// of the text once whatever their number: a hash of the next four bytes,
// without regard to case, is looked up in a bitmap; only where it is set are
// literals compared. Literals are folded. It is immutable.
type scanner struct {
	no     uint32           // among the engine's indexes and scanners of words
	bitmap *[1 << 10]uint64 // by the upper ten bits of a hash a word, by the next six a bit of it
	heads  []int32          // by hash: first anchor + 1
	hshift uint32
	step   int  // how far apart it looks, up to maxStep; each literal has as many anchors, one byte apart
	least  int  // length in bytes of the shortest literal
	wide   bool // a literal has characters outside ASCII
	anch   []anchor
}

// anchor is four bytes of a literal that the scan looks for.
type anchor struct {
	gram  uint32
	off   int32 // of the four bytes in the literal
	group int32 // what the caller learns
	next  int32 // anchor with the same hash, -1 at the end
	lit   string
}

const (
	foldMask  = 0x20202020
	foldMask8 = 0x2020202020202020
	hashMul   = 0x9E3779B1
)

type scanBuilder struct{ lits []scanLit }

// scanLit is a literal to find. key, where there is one, knows its anchors.
type scanLit struct {
	text  string
	group int32
	key   *planKey
}

func (l *scanLit) rare(step int) int {
	if l.key != nil {
		return l.key.rare(step)
	}
	return rareGram(l.text, step)
}

func newScanBuilder() *scanBuilder { return &scanBuilder{} }

// add adds a folded literal of at least minScan bytes.
func (b *scanBuilder) add(lit string, group int32) {
	b.lits = append(b.lits, scanLit{text: lit, group: group})
}

// addKey adds the literal of a key.
func (b *scanBuilder) addKey(k *planKey, group int32) {
	b.lits = append(b.lits, scanLit{k.text, group, k})
}

func (b *scanBuilder) build() *scanner {
	s := &scanner{least: maxLiteral}
	for i := range b.lits {
		s.least = min(s.least, len(b.lits[i].text))
		s.wide = s.wide || !isASCII(bytesOf(b.lits[i].text))
	}
	s.step = stepFor(s.least)
	n := len(b.lits) * s.step
	s.bitmap = new([1 << 10]uint64)
	logHeads := max(4, bits.Len(uint(n*2)))
	s.heads = make([]int32, 1<<logHeads)
	s.hshift = uint32(32 - logHeads)
	s.anch = make([]anchor, 0, n)
	for i := range b.lits {
		l := &b.lits[i]
		off := l.rare(s.step)
		for k := range s.step {
			s.anchor(l.text, off+k, l.group)
		}
	}
	return s
}

// maxStep is the most that a scan steps over: more needs more anchors and finds
// few scanners whose literals are all that long.
const maxStep = 8

// stepFor is how far apart the places may be at which a scan looks, so that one
// of them falls on an anchor wherever a literal of that length stands.
func stepFor(least int) int { return max(1, min(least-minScan+1, maxStep)) }

func (s *scanner) anchor(lit string, off int, group int32) {
	gram := load32(bytesOf(lit)[off:]) | foldMask
	h := gram * hashMul
	s.bitmap[h>>22] |= 1 << (h >> 16 & 63)
	head := &s.heads[h>>s.hshift]
	s.anch = append(s.anch, anchor{gram: gram, off: int32(off), group: group, next: *head - 1, lit: lit})
	*head = int32(len(s.anch))
}

// maxRare is how many bytes of a literal rareGram chooses from.
const maxRare = 32

// rareGram chooses the place of a literal where the least common four bytes
// (and their neighbours, for steps above 1) begin.
func rareGram(lit string, step int) int {
	var scores [maxStep]int // of the last places
	sum, best, at := 0, 1<<30, 0
	for i := 0; i+minScan <= min(len(lit), maxRare); i++ {
		slot := &scores[i%maxStep]
		if i >= step {
			sum -= scores[(i-step)%maxStep]
		}
		*slot = gramScore(lit[i : i+minScan])
		sum += *slot
		if from := i - step + 1; from >= 0 && sum < best {
			best, at = sum, from
		}
	}
	return at
}

// gramScore is higher for four bytes that many texts hold.
func gramScore(g string) int {
	score := 0
	if commonGrams.has(g) {
		score += 100
	}
	for i := range len(g) {
		score += int(letterScore[g[i]])
	}
	return score
}

// gramSet is the four-byte pieces of a text, some others too.
type gramSet [1 << 10]uint64

func (s *gramSet) has(g string) bool {
	h := load32(bytesOf(g)) * hashMul >> 16
	return s[h>>6]>>(h&63)&1 != 0
}

var commonGrams = func() (s gramSet) { //nolint:gochecknoglobals // a table that nobody writes
	for i := 0; i+4 <= len(commonText); i++ {
		h := load32(bytesOf(commonText[i:])) * hashMul >> 16
		s[h>>6] |= 1 << (h & 63)
	}
	return s
}()

// isCommon tells whether commonText holds s.
func isCommon(s string) bool {
	for i := 0; i+4 <= len(s); i += 4 {
		if !commonGrams.has(s[i : i+4]) {
			return false
		}
	}
	return strings.Contains(commonText, s)
}

var letterScore = func() (t [256]uint8) { //nolint:gochecknoglobals // a table that nobody writes
	for i, c := range []byte(`etaoinsr\ .cmdl`) {
		t[c] = uint8(16 - i)
	}
	return t
}()

// found is told of each literal that occurs, possibly several times.
type found interface{ hit(group int32) }

// shortest is the number of bytes of the shortest text that can hold a literal.
// Folding makes a text longer by at most half.
func (s *scanner) shortest() int { return (2*s.least + 2) / 3 }

// each tells f of the literals in text.
func (s *scanner) each(text []byte, f found) {
	if len(text) < s.least {
		return
	}
	for i := s.next(text, 0); i >= 0; i = s.next(text, i+s.step) {
		s.verify(text, i, load32(text[i:])|foldMask, f)
	}
}

// next is the first of the places from i on, step apart, where the hash of an
// anchor is seen, or -1. It calls nothing, so that all it needs stays in
// registers: most of a hunt's judging is this loop.
func (s *scanner) next(text []byte, i int) int {
	bitmap, step, last := s.bitmap, s.step, len(text)-minScan
	for ; i+step <= last; i += 2 * step {
		g, h := gramHash(text, i), gramHash(text, i+step)
		if bitmap[g>>22]>>(g>>16&63)&1 != 0 {
			return i
		}
		if bitmap[h>>22]>>(h>>16&63)&1 != 0 {
			return i + step
		}
	}
	for ; i <= last; i += step {
		if g := gramHash(text, i); bitmap[g>>22]>>(g>>16&63)&1 != 0 {
			return i
		}
	}
	return -1
}

// gramHash is the hash of the four bytes at i, which must be there: the
// scanner's loop has seen to it, and its compiler does not know.
func gramHash(text []byte, i int) uint32 {
	b := (*[minScan]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(text)), i))
	return (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24 | foldMask) * hashMul
}

func (s *scanner) verify(text []byte, i int, gram uint32, f found) {
	for k := s.heads[gram*hashMul>>(s.hshift&31)] - 1; k >= 0; k = s.anch[k].next {
		a := &s.anch[k]
		if a.gram == gram && a.at(text, i) {
			f.hit(a.group)
		}
	}
}

// at tells whether the literal stands where its anchor was seen, but for bytes
// that differ only in the bit that ASCII case is.
func (a *anchor) at(text []byte, i int) bool {
	start := i - int(a.off)
	if start < 0 || start+len(a.lit) > len(text) {
		return false
	}
	t := text[start : start+len(a.lit)]
	for k := range len(a.lit) {
		if (t[k]^a.lit[k])&^0x20 != 0 {
			return false
		}
	}
	return true
}

// contains tells whether one of the literals occurs exactly.
func (s *scanner) contains(text []byte) bool {
	c := containsExact{s: s}
	for i := s.next(text, 0); i >= 0; i = s.next(text, i+s.step) {
		if c.check(text, i, load32(text[i:])|foldMask) {
			return true
		}
	}
	return false
}

type containsExact struct{ s *scanner }

func (c containsExact) check(text []byte, i int, gram uint32) bool {
	for k := c.s.heads[gram*hashMul>>(c.s.hshift&31)] - 1; k >= 0; k = c.s.anch[k].next {
		a := &c.s.anch[k]
		start := i - int(a.off)
		if a.gram == gram && start >= 0 && start+len(a.lit) <= len(text) && string(text[start:start+len(a.lit)]) == a.lit {
			return true
		}
	}
	return false
}

// commonText is what many log records hold: literals within it make poor
// witnesses, four bytes of it poor anchors.
const commonText = `c:\windows\system32\cmd.exe /c c:\windows\system32\windowspowershell\v1.0\powershell.exe -noprofile -command ` +
	`c:\program files\ c:\program files (x86)\ c:\users\ \appdata\local\temp\ \appdata\roaming\ c:\programdata\ ` +
	`microsoft corporation microsoft windows microsoft.windows. hklm\software\microsoft\windows\currentversion\ ` +
	`hklm\system\currentcontrolset\services\ hkcu\software\ hku\s-1-5-21- \software\wow6432node\ ` +
	`c:\windows\system32\svchost.exe -k netsvcs -p -s c:\windows\explorer.exe c:\windows\system32\services.exe ` +
	`c:\windows\system32\rundll32.exe c:\windows\system32\lsass.exe c:\windows\syswow64\ .dll .exe .sys .tmp .ps1 .log ` +
	`c:\windows\system32\net.exe net1 user c:\windows\system32\reg.exe add c:\windows\system32\conhost.exe 0xffffffff -forcev1 ` +
	`c:\windows\system32\wbem\wmiprvse.exe \wbem\wmic.exe \schtasks.exe /create \sc.exe \msiexec.exe \taskhostw.exe \mshta.exe \regsvr32.exe /s ` +
	`\wscript.exe \cscript.exe \python.exe \powershell_ise.exe \pwsh.exe \whoami.exe \certutil.exe \bitsadmin.exe \dllhost.exe ` +
	`nt authority\system authenticated users security system application operational http://www. https:// ` +
	`/usr/bin/ /usr/sbin/ /usr/lib/ /bin/sh /bin/bash -c /etc/ /var/log/ /home/ /root/ /tmp/ /dev/null ` +
	`function param( write-host get-item new-object system.io. system.net. return $null -eq string object value name path ` +
	`high medium low setvalue createkey s-1-16-12288 s-1-16-8192 info localsystem ` +
	`c:\windows\system32\ntdll.dll+ |c:\windows\system32\kernelbase.dll+ |c:\windows\system32\kernel32.dll+ c:\windows\syswow64\ntdll.dll+ |unknown( ` +
	`0x1fffff 0x1000 0x1400 0x1410 0x1010 0x3000 0x1478 0x101541 0x40 0x100000 ` +
	`image process true false get post index.html .php? .jpg mozilla/5.0 (windows nt 10.0; win64; x64) applewebkit/537.36 `
