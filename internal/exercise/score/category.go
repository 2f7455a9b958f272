package score

import (
	"fmt"
	"strings"
)

// Category is how much of a step the defence saw, on the scale of the ATT&CK
// Evaluations.
type Category uint8

// The categories, in rising order.
const (
	None      Category = iota // nothing
	Telemetry                 // a record of it, no alert
	General                   // an alert that says: something is wrong here
	Tactic                    // an alert that says to what end
	Technique                 // an alert that says what was done
)

// Categories is how many there are.
const Categories = 5

var categoryWords = [Categories]string{"none", "telemetry", "general", "tactic", "technique"}

// String is the word of c.
func (c Category) String() string {
	if c < Categories {
		return categoryWords[c]
	}
	return fmt.Sprintf("category(%d)", uint8(c))
}

// ParseCategory is the inverse of Category.String.
func ParseCategory(s string) (Category, error) {
	for i, w := range categoryWords {
		if w == s {
			return Category(i), nil
		}
	}
	return None, fmt.Errorf("category %q: it is one of %s", s, strings.Join(categoryWords[:], ", "))
}

// MarshalText writes the word.
func (c Category) MarshalText() ([]byte, error) {
	if c >= Categories {
		return nil, fmt.Errorf("category %d: there are %d", c, Categories)
	}
	return []byte(categoryWords[c]), nil
}

// UnmarshalText reads the word; the empty word is None.
func (c *Category) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*c = None
		return nil
	}
	got, err := ParseCategory(string(b))
	*c = got
	return err
}
