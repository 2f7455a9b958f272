// Package code is the compiled form of YARA rules: what a scan runs, and what
// is saved and loaded.
package code

import (
	"github.com/lapwing-defence/lapwing/internal/scan/yara/rex"
)

// Program is a set of compiled rules. Nobody writes to it after it was built.
type Program struct {
	Namespaces []string
	Modules    []string
	Externals  []External
	Rules      []Rule
	Patterns   []Pattern
	Units      []Unit
	Nodes      []Node
	Lists      []int32
	Texts      []string
	Progs      []rex.Prog
	// Funcs names the module functions that are called: "pe.imphash|".
	Funcs []string
	// Atoms find the places of Units; Slow are those that are found by their
	// first byte only.
	Atoms []Atom
	Slow  []Slow
}

// External is a variable that the caller sets.
type External struct {
	Name  string
	Kind  uint8 // a module.Kind: Int, Float, Bool or String
	Int   int64 // of Int and Bool; the bits of a Float
	Text  string
	Fixed bool // set at compile time, not only declared
}

// Rule is one rule.
type Rule struct {
	Name            string
	Namespace       int32
	Private, Global bool
	Tags            []string
	Metas           []Meta
	Strings         []String
	Cond            int32
	// NeedsHit tells that the condition is false unless a string is found.
	NeedsHit bool
	File     string
	Line     int32
}

// Meta is one entry of a rule's meta section. Kind is 's', 'i' or 'b'.
type Meta struct {
	Name string
	Kind byte
	Int  int64
	Text string
}

// String is one string of a rule; equal strings share a pattern.
type String struct {
	Name    string
	Pattern int32
	Private bool
}

// Pattern is what a string looks for: a chain of Links links, each found by
// one or more units.
type Pattern struct {
	Links  int32
	Greedy bool
	// Gaps are the fewest and most bytes before the links from the second on;
	// -1 is no limit.
	Gaps []int32
}

// Keep tells which of two lengths at one place is the match: the longer one of
// an expression with greedy quantifiers, else the shorter one, which libyara
// comes upon first.
func (p *Pattern) Keep(a, b int32) int32 {
	if p.Greedy {
		return max(a, b)
	}
	return min(a, b)
}

// Unit is one thing to look for. With Lit it is these bytes, else a regular
// expression.
type Unit struct {
	Pattern, Link    int32
	Lit              []byte
	NoCase, FullWord bool
	Wide             bool // of a literal: its bytes are two apart
	Xor              bool
	XorMin, XorMax   uint8
}

// Atom is a word of up to four bytes, the first in the low bits, and what to do
// where it is found. Fold tells that bit 0x20 of its bytes does not count.
type Atom struct {
	Word uint32
	Len  uint8
	Fold bool
	Ref  Ref
}

// Ref tells how to verify a unit at a place.
type Ref struct {
	Unit     int32
	Off      int32 // of a literal: where in it the atom lies
	Fwd, Bwd int32 // of a regular expression: its programs, -1 for none
	Wide     bool
}

// Slow is a unit that has to be tried wherever one of First stands.
type Slow struct {
	Ref   Ref
	First rex.Set
	// Zero tells that the pattern matches nothing, everywhere.
	Zero bool
}

// Op is the operation of a Node.
type Op uint8

// The operations. The comments name the operands.
const (
	OpInt        Op = iota // N
	OpFloat                // N: bits
	OpText                 // A: text
	OpRegexp               // A: program
	OpTrue                 //
	OpFalse                //
	OpFilesize             //
	OpEntrypoint           //
	OpReadInt              // A: node, B: form
	OpAnd                  // A: list, B: count
	OpOr                   // A: list, B: count
	OpNot                  // A
	OpDefined              // A
	OpNeg                  // A
	OpBitNot               // A
	OpAdd                  // A, B
	OpSub                  // A, B
	OpMul                  // A, B
	OpDiv                  // A, B
	OpMod                  // A, B
	OpShl                  // A, B
	OpShr                  // A, B
	OpBitAnd               // A, B
	OpBitOr                // A, B
	OpBitXor               // A, B
	OpEq                   // A, B
	OpNe                   // A, B
	OpLt                   // A, B
	OpGt                   // A, B
	OpLe                   // A, B
	OpGe                   // A, B
	OpContains             // A, B
	OpIContains
	OpStartsWith
	OpIStartsWith
	OpEndsWith
	OpIEndsWith
	OpIEquals
	OpMatches
	OpStrBool  // A
	OpFound    // A: pattern, or -1 for the string of the loop
	OpFoundAt  // A: pattern, B
	OpFoundIn  // A: pattern, B, C
	OpCount    // A: pattern
	OpCountIn  // A: pattern, B, C
	OpOffset   // A: pattern, B
	OpLength   // A: pattern, B
	OpRule     // A: rule
	OpExternal // A: external
	OpModule   // A: module
	OpField    // A: node, B: text
	OpIndex    // A: node, B: node
	OpCall     // A: list of receiver node, function, module, arguments; B: count
	OpVar      // A: slot
	OpOf       // A: list of quantifier, items; B: count; C: Of*
	OpOfIn     // A: list of quantifier, from, to, items; B: count
	OpOfAt     // A: list of quantifier, place, items; B: count
	OpFor      // A: list of quantifier, body, slot, slots, sources; B: count; C: Iter*
	opCount
)

// What OpOf counts.
const (
	OfStrings        = 0
	OfRules          = 1
	OfPercent  int32 = 2 // added to the others
	QuantAll   int32 = -1
	QuantAny   int32 = -2
	QuantNone  int32 = -3
	CurrentStr int32 = -1
)

// What OpFor goes over.
const (
	IterArray int32 = iota
	IterDict
	IterRange
	IterList
	IterStrings
)

// Node is one operation of a condition.
type Node struct {
	Op      Op
	A, B, C int32
	N       int64
}
