package auth

import "testing"

// TestParsedOfAnotherValue: what was remembered of an older value is not handed
// out, nor what it points to.
func TestParsedOfAnotherValue(t *testing.T) {
	var p parsed[*int]
	p.add("key", []byte("old"), new(int))
	if r, ok := p.get("key", []byte("new")); ok || r != nil {
		t.Errorf("%v, %t", r, ok)
	}
}
