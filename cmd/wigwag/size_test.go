package main

import "testing"

func TestByteSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "1048577": 1048577, "7B": 7, "64KiB": 64 << 10, "512MiB": 512 << 20, "2GiB": 2 << 30, "3TiB": 3 << 40,
		"9223372036854775807": 1<<63 - 1, "8388607TiB": 8388607 << 40,
	} {
		var b byteSize
		if err := b.Set(text); err != nil || int64(b) != want {
			t.Errorf("%q is %d, %v; want %d", text, b, err, want)
		}
		var again byteSize
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%q is written as %q, which is %d, %v", text, b.String(), again, err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5GiB", "GiB", "2 GiB", "2gib", "2GB", "8388608TiB", "9223372036854775808", "1MiBB"} {
		b := byteSize(5)
		if err := b.Set(text); err == nil || b != 5 {
			t.Errorf("%q is taken for %d", text, b)
		}
	}
	for want, b := range map[string]byteSize{"4GiB": 4 << 30, "1537MiB": 1537 << 20, "1000": 1000, "1KiB": 1024, "0": 0} {
		if got := b.String(); got != want {
			t.Errorf("%d is written as %q, want %q", int64(b), got, want)
		}
	}
}
