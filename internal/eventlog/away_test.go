package eventlog

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReadOverRestart breaks the connection in the middle of a page, as a
// store does that is killed: each event is given once, and in order.
func TestReadOverRestart(t *testing.T) {
	at := time.Date(2026, 5, 6, 7, 0, 0, 0, time.UTC)
	row := func(id string, after time.Duration) string {
		return fmt.Sprintf("{\"_time\":%q,\"event.id\":%q,\"event.action\":\"login\"}\n", at.Add(after).Format(time.RFC3339Nano), id)
	}
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.FormValue("query"), "stats") {
			fmt.Fprintf(w, "{\"lo\":%q,\"hi\":%q}\n", at.Format(time.RFC3339), at.Add(40*time.Minute).Format(time.RFC3339))
			return
		}
		switch asked++; asked {
		case 1:
			fmt.Fprint(w, row("a", 0)+row("b", time.Minute))
		case 2, 3:
			fmt.Fprint(w, row("c", 20*time.Minute))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 4:
			fmt.Fprint(w, row("c", 20*time.Minute)+row("d", 40*time.Minute))
		}
	}))
	defer srv.Close()
	c, err := NewClient(ClientConfig{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = c.Read(t.Context(), Query{}, func(line []byte) error {
		_, rest, _ := strings.Cut(string(line), `"event.id":"`)
		got = append(got, rest[:1])
		return nil
	})
	if err != nil || !slices.Equal(got, []string{"a", "b", "c", "d"}) || asked < 4 {
		t.Errorf("%q after %d pages, %v", got, asked, err)
	}
}
