package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag for a number of bytes, such as 1048576, 64MiB or 2GiB.
type byteSize int64

// units of a byteSize, the largest first.
func units() []struct {
	name  string
	bytes int64
} {
	return []struct {
		name  string
		bytes int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}
}

// Set implements pflag.Value.
func (b *byteSize) Set(text string) error {
	number, unit := text, int64(1)
	for _, u := range units() {
		if before, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = before, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a number of bytes; allowed are numbers alone and with KiB, MiB, GiB or TiB, such as 64MiB", text)
	}
	*b = byteSize(n * unit)
	return nil
}

// String implements pflag.Value: with the largest unit that needs no fraction.
func (b *byteSize) String() string {
	for _, u := range units() {
		if n := int64(*b); n != 0 && u.bytes > 1 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Type implements pflag.Value.
func (b *byteSize) Type() string { return "bytes" }
