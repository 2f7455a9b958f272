package sshd

import (
	"os"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/config"
)

// TestDocumentedBlockLoads: what the page tells to write is taken.
func TestDocumentedBlockLoads(t *testing.T) {
	data, err := os.ReadFile("../../../docs/decoys/sshd.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "```yaml\n")
	block, _, _ := strings.Cut(rest, "```")
	if _, err := config.Parse("sshd.md", []byte(block), []string{"debian-server"}); err != nil || !found {
		t.Error(err)
	}
}
