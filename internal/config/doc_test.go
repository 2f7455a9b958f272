package config

import (
	"os"
	"strings"
	"testing"
)

func TestDocumentedBlocksLoad(t *testing.T) {
	for file, least := range map[string]int{"formats/config.md": 2, "guides/scan.md": 1, "guides/hunt.md": 1, "guides/sources.md": 1} {
		data, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(data), "```yaml\n")
		if len(parts) <= least {
			t.Fatalf("%s: no blocks found", file)
		}
		for _, p := range parts[1:] {
			block, _, _ := strings.Cut(p, "```")
			if _, err := Parse(file, []byte(block), templates); err != nil {
				t.Errorf("%v in\n%s", err, block)
			}
		}
	}
}

func TestDocumentedDefaultsAreTheDefaults(t *testing.T) {
	data, err := os.ReadFile("../../docs/formats/config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, all, found := strings.Cut(string(data), "Everything, with the defaults:\n\n```yaml\n")
	if !found {
		t.Fatal("the block with the defaults is not there")
	}
	block, _, _ := strings.Cut(all, "```")
	c, err := Parse("config.md", []byte(block), templates)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	c.Hosts = nil
	if c.Limits != want.Limits || c.Retention != want.Retention || c.Captures != want.Captures ||
		c.Visitors != want.Visitors || c.Record != want.Record || c.Journal != want.Journal || c.Console != want.Console {
		t.Errorf("documented %+v\ndefault    %+v", c, want)
	}
}
