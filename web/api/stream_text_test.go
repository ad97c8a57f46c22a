package api

import (
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// decodeIn decodes bytes in pieces of these sizes, over and over.
func decodeIn(data []byte, sizes ...int) string {
	var d decoder
	var text strings.Builder
	for i := 0; len(data) > 0; i++ {
		n := min(len(data), max(1, sizes[i%len(sizes)]))
		text.WriteString(d.text(data[:n]))
		data = data[n:]
	}
	text.WriteString(d.rest())
	return text.String()
}

func TestDecoder(t *testing.T) {
	for data, want := range map[string]string{
		"":                         "",
		"plain":                    "plain",
		"é€😀":                      "é€😀",
		"a\x00b":                   "a\ufffdb",
		"\xff\xfe":                 "\ufffd\ufffd",
		"\xe2\x82":                 "\ufffd\ufffd", // the beginning of a €
		"\xe2\x82x":                "\ufffd\ufffdx",
		"\xf0\x9f\x98\xe2\x82\xac": "\ufffd\ufffd\ufffd€",
		"\xc0\x80":                 "\ufffd\ufffd",       // NUL, too long
		"\xed\xa0\x80":             "\ufffd\ufffd\ufffd", // half of a pair of UTF-16
		"\x80\x80\x80\x80":         "\ufffd\ufffd\ufffd\ufffd",
		"\ufffd \ufeff":            "\ufffd \ufeff",
	} {
		for _, size := range []int{1, 2, 3, 4, 100} {
			if got := decodeIn([]byte(data), size); got != want {
				t.Errorf("%q in pieces of %d is %q, want %q", data, size, got, want)
			}
		}
	}
}

// What can be told of a character is told at once.
func TestDecoderHoldsBackLittle(t *testing.T) {
	var d decoder
	for _, step := range [][2]string{{"a", "a"}, {"\xe2", ""}, {"\x82", ""}, {"\xacb", "€b"}, {"\xe2\x82", ""}, {"\xe2", "\ufffd\ufffd"}} {
		if got := d.text([]byte(step[0])); got != step[1] {
			t.Errorf("%q gives %q, want %q", step[0], got, step[1])
		}
	}
}

func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{"", "é€😀", "a\x00b", "\xff", "\xe2\x82", "\xf0\x9f\x98\xe2\x82\xac", "\xed\xa0\x80"} {
		f.Add([]byte(seed), uint64(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // of a test
		sizes := make([]int, 20)
		for i := range sizes {
			sizes[i] = 1 + random.IntN(7)
		}
		got := decodeIn(data, sizes...)
		if !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
			t.Errorf("%q became %q", data, got)
		}
		if whole := decodeIn(data, len(data)); got != whole {
			t.Errorf("%q in pieces became %q, at once %q", data, got, whole)
		}
		if utf8.Valid(data) && strings.ReplaceAll(string(data), "\x00", "\ufffd") != got {
			t.Errorf("%q became %q", data, got)
		}
	})
}
