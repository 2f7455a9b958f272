package scenario

import (
	"maps"
	"slices"
	"time"
)

// Args are the arguments of an action, with the defaults of its table filled
// in. An argument that is not there reads as zero.
type Args struct{ values map[string]any }

// Names are the arguments that are there, sorted.
func (a Args) Names() []string { return slices.Sorted(maps.Keys(a.values)) }

// Has tells whether an argument was given or has a default.
func (a Args) Has(name string) bool { _, ok := a.values[name]; return ok }

// Text is a text, word, name or address.
func (a Args) Text(name string) string { return arg[string](a, name) }

// Int is an integer.
func (a Args) Int(name string) int { return arg[int](a, name) }

// Bool is a boolean.
func (a Args) Bool(name string) bool { return arg[bool](a, name) }

// Duration is a span of time.
func (a Args) Duration(name string) time.Duration { return arg[time.Duration](a, name) }

// Float is a number, a share (of one) or a rate (a second).
func (a Args) Float(name string) float64 { return arg[float64](a, name) }

// Texts is a list of texts.
func (a Args) Texts(name string) []string { return arg[[]string](a, name) }

// Ints is a list of integers.
func (a Args) Ints(name string) []int { return arg[[]int](a, name) }

// Pairs is a table of texts.
func (a Args) Pairs(name string) map[string]string { return arg[map[string]string](a, name) }

func arg[T any](a Args, name string) T {
	v, _ := a.values[name].(T)
	return v
}
