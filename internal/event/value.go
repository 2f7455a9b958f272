package event

import (
	"strconv"
	"strings"
)

// ValueKind tells what a Value holds.
type ValueKind uint8

// The kinds of Value.
const (
	KindNone ValueKind = iota
	KindString
	KindInt
	KindFloat
	KindBool
	KindList // of strings
)

// Value is a scalar, or a list of strings.
type Value struct {
	kind ValueKind
	str  string
	num  int64
	flt  float64
	list []string
}

// String makes a text Value.
func String(s string) Value { return Value{kind: KindString, str: s} }

// Int makes a whole number.
func Int(n int64) Value { return Value{kind: KindInt, num: n} }

// Float makes a number; NaN and infinities are written as text.
func Float(f float64) Value { return Value{kind: KindFloat, flt: f} }

// Bool makes a truth value.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.num = 1
	}
	return v
}

// List makes a list of strings; the slice is kept, not copied.
func List(l ...string) Value { return Value{kind: KindList, list: l} }

// Kind tells what v holds.
func (v Value) Kind() ValueKind { return v.kind }

// Strings are the elements of a list, or the one text of a scalar.
func (v Value) Strings() []string {
	if v.kind == KindList {
		return v.list
	}
	return []string{v.Text()}
}

// Int64 is the number of an Int or Bool Value, else 0.
func (v Value) Int64() int64 { return v.num }

// Float64 is the number that v holds.
func (v Value) Float64() float64 {
	if v.kind == KindFloat {
		return v.flt
	}
	return float64(v.num)
}

// Text is v as text: lists are joined by ",".
func (v Value) Text() string {
	switch v.kind {
	case KindString:
		return v.str
	case KindInt:
		return strconv.FormatInt(v.num, 10)
	case KindFloat:
		return strconv.FormatFloat(v.flt, 'g', -1, 64)
	case KindBool:
		return strconv.FormatBool(v.num != 0)
	case KindList:
		var s strings.Builder
		for i, e := range v.list {
			if i > 0 {
				s.WriteString(",")
			}
			s.WriteString(e)
		}
		return s.String()
	}
	return ""
}
