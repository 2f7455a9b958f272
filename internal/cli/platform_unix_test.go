//go:build unix

package cli

import (
	"errors"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/app"
)

func TestAnErrorIsShownOnce(t *testing.T) {
	err := errors.New("no room")
	if got := told(err); !errors.Is(got, err) {
		t.Errorf("%v became %v", err, got)
	}
	var status exitStatus
	if got := told(app.ToldError{Err: err}); !errors.As(got, &status) || status != statusError {
		t.Errorf("what the supervisor shows became %v", got)
	}
	if told(nil) != nil {
		t.Error("no error became one")
	}
}
