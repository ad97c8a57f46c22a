package transport_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"wigwag/transport"
)

// While memory is short the rest of a large body is not waited for. A small one
// is read, for it may be an answer or a cancellation.
func TestOverloadedReadsNoLargeBodies(t *testing.T) {
	var short atomic.Bool
	l := newLab(t, transport.Options{Overloaded: short.Load})
	session := l.open("2025-11-25")
	note := func(n int) string {
		return `{"jsonrpc":"2.0","method":"notifications/made_up","params":{"x":"` + strings.Repeat("x", n) + `"}}`
	}
	const small, large = 10 << 10, 100 << 10
	for _, tt := range []struct {
		short bool
		size  int
		want  int
	}{
		{false, small, http.StatusAccepted},
		{false, large, http.StatusAccepted},
		{true, small, http.StatusAccepted},
		{true, large, http.StatusServiceUnavailable},
	} {
		short.Store(tt.short)
		if got := l.post(session, note(tt.size)).finish().status; got != tt.want {
			t.Errorf("%d bytes, short of memory %t: %d, want %d", tt.size, tt.short, got, tt.want)
		}
	}
}
