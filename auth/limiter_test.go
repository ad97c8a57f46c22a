package auth

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(time.Second, 3)
		expect := func(key string, want time.Duration) {
			t.Helper()
			if got := l.Take(key); got != want {
				t.Errorf("%s has to wait %v, not %v", key, got, want)
			}
		}
		for range 3 {
			expect("alice", 0)
		}
		for range 5 { // what is refused does not count
			expect("alice", time.Second)
		}
		expect("bob", 0)
		pass(time.Second / 4)
		expect("alice", 3*time.Second/4)
		pass(3 * time.Second / 4)
		expect("alice", 0)
		expect("alice", time.Second)
		pass(time.Hour)
		for range 3 {
			expect("alice", 0)
		}
		expect("alice", time.Second)
	})
}

func TestLimiterAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(time.Second, 1)
		for _, tc := range []struct {
			address string
			free    bool
		}{
			{"192.0.2.1", true},
			{"192.0.2.1", false},
			{"::ffff:192.0.2.1", false},
			{"192.0.2.2", true},
			{"2001:db8::1", true},
			{"2001:db8::ffff", false}, // the same /64
			{"2001:db8:0:1::1", true},
		} {
			if wait := l.Wait(netip.MustParseAddr(tc.address)); (wait == 0) != tc.free {
				t.Errorf("%s waits %v", tc.address, wait)
			}
		}
		if l.Wait(netip.Addr{}) != 0 || l.Wait(netip.Addr{}) == 0 {
			t.Error("no address is not one of its own")
		}
	})
}

// Who is there already keeps a bucket; strangers share one, until there is room.
func TestLimiterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(time.Second, 2)
		for i := range 2 * maxLimited {
			l.Take(fmt.Sprint(i))
		}
		if len(l.buckets) != maxLimited {
			t.Errorf("%d buckets", len(l.buckets))
		}
		if l.Take("stranger") == 0 || l.Take("0") != 0 {
			t.Error("a stranger has a bucket, or the first has not")
		}
		pass(time.Minute)
		for range 2 {
			if l.Take("stranger") != 0 {
				t.Error("there is room, and not for the stranger")
			}
		}
		if len(l.buckets) != 1 {
			t.Errorf("%d buckets", len(l.buckets))
		}
	})
}
