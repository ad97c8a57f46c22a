package hub

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidName(t *testing.T) {
	for _, good := range []string{"a", "0", "alice", "a-b_c", "9-", "dm", strings.Repeat("x", maxName)} {
		if !validName(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", "-a", "_a", "A", "aB", "a b", "a/b", "a.b", "ä", "a\n", "a\x00", "dm/a/b", "аlice", strings.Repeat("x", maxName+1)} {
		if validName(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestDirectNames(t *testing.T) {
	if a, b := directName("bob", "alice"), directName("alice", "bob"); a != "dm/alice/bob" || a != b {
		t.Errorf("direct rooms are %q and %q", a, b)
	}
	if a, b, ok := directParties("dm/alice/bob"); !ok || a != "alice" || b != "bob" {
		t.Errorf("parties are %q, %q, %t", a, b, ok)
	}
	for _, bad := range []string{"", "dm", "dm/", "dm/alice", "dm/alice/", "dm//bob", "dm/bob/alice", "dm/alice/alice", "dm/alice/bob/", "dm/a/b/c", "DM/a/b", "xdm/a/b", "dm/a/B", "dm/-a/b"} {
		if _, _, ok := directParties(bad); ok {
			t.Errorf("%q is a direct room", bad)
		}
	}
}

func TestCheckText(t *testing.T) {
	for _, good := range []string{"x", " ", "\n", "\x01", "\ufffd", strings.Repeat("x", MaxText), strings.Repeat("語", MaxText/3)} {
		if err := checkText(good); err != nil {
			t.Errorf("%.20q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "\x00", "a\x00b", "\xff", "a\xc3", "\xed\xa0\x80", strings.Repeat("x", MaxText+1)} {
		wantCode(t, checkText(bad), Invalid, "message")
	}
}

func TestCheckTopic(t *testing.T) {
	for _, good := range []string{"", "Plans for May – 五月の予定", strings.Repeat("x", maxTopic)} {
		if err := checkLine("topic", good, maxTopic); err != nil {
			t.Errorf("%.20q: %v", good, err)
		}
	}
	for _, bad := range []string{"a\nb", "\x00", "\x7f", "\u0085", "\xff", strings.Repeat("x", maxTopic+1)} {
		wantCode(t, checkLine("topic", bad, maxTopic), Invalid, "topic")
	}
}

func TestCheckKey(t *testing.T) {
	for _, good := range []string{"", "x", "a b", "~!", strings.Repeat("x", maxKey)} {
		if err := checkKey("idempotency_key", good); err != nil {
			t.Errorf("%.20q: %v", good, err)
		}
	}
	for _, bad := range []string{"\n", "a\tb", "\x00", "\x7f", "é", "\xff", strings.Repeat("x", maxKey+1)} {
		wantCode(t, checkKey("idempotency_key", bad), Invalid, "idempotency_key")
	}
}

func TestCleanVia(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"Claude Code":                      "Claude Code",
		" 編集器 ":                            "編集器",
		"a\r\nb\x00c\u202ed\u200be\u2028f": "abcdef",
		"x\xffy":                           "xy",
		strings.Repeat("語", 100):           strings.Repeat("語", maxVia/3),
	} {
		if got := cleanVia(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanVia(f *testing.F) {
	f.Add("Claude\nCode\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		got := cleanVia(s)
		if len(got) > maxVia || !utf8.ValidString(got) || strings.ContainsAny(got, "\r\n\x00\u2028\u202e") || cleanVia(got) != got {
			t.Errorf("%q is %q", s, got)
		}
	})
}
