package store

import (
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	for name, want := range map[string]string{
		"":                 "%",
		"all":              "all",
		"room.general":     "room%2egeneral",
		"room.dm/alice/bo": "room%2edm/alice/bo",
		"*.>":              "%2a%2e%3e",
		"100%":             "100%25",
		" \r\n\x00é":       "%20%0d%0a%00%c3%a9",
	} {
		if got := encode(name); got != want {
			t.Errorf("encode(%q) = %q, want %q", name, got, want)
		}
	}
	for _, token := range []string{"", "a.b", "%2", "%zz", "%2A", "%61", "a*", "%%"} {
		if name, ok := decode(token); ok {
			t.Errorf("decode(%q) = %q", token, name)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, seed := range []string{"", "room.general", "room.dm/alice/bob", "%", "%2a", "*", ">", "a b", "ü\x00\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		token := encode(name)
		if token == "" || strings.ContainsAny(token, ".*> \t\r\n\x00") {
			t.Fatalf("encode(%q) = %q is no token", name, token)
		}
		if got, ok := decode(token); !ok || got != name {
			t.Fatalf("%q came back as %q, %t", name, got, ok)
		}
		// What decodes encodes to the same: no two tokens mean one name.
		if other, ok := decode(name); ok && encode(other) != name {
			t.Fatalf("decode(%q) = %q, which is encoded as %q", name, other, encode(other))
		}
	})
}
