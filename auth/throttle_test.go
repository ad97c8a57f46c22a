package auth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// address returns the i-th of many IPv4 addresses.
func address(i int) netip.Addr {
	a := netip.MustParseAddr("10.0.0.0").As4()
	binary.BigEndian.PutUint16(a[2:], uint16(i)) //nolint:gosec // no test needs more
	return netip.AddrFrom4(a)
}

// fail makes one failed attempt, after waiting as long as it must, and returns
// how long that was.
func fail(th *throttle, name string, from netip.Addr) time.Duration {
	waited := th.wait(name, from)
	pass(waited)
	if _, wait := th.begin(name, from); wait != 0 {
		panic(fmt.Sprintf("%v more after waiting %v", wait, waited))
	}
	return waited
}

// failures makes n failed attempts at alice, and returns the seconds waited.
func failures(n int, th *throttle, from netip.Addr) (waited []time.Duration) {
	for range n {
		waited = append(waited, fail(th, "alice", from)/time.Second)
	}
	return waited
}

func TestAuth23DelayGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		want := []time.Duration{0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60}
		if got := failures(14, th, home); !slices.Equal(got, want) {
			t.Errorf("seconds waited: %v, want %v", got, want)
		}
		// An hour of quiet forgives one failure; no more than what makes the
		// longest delay is held against anybody.
		pass(11 * time.Hour)
		if got := failures(14, th, home); !slices.Equal(got, want) {
			t.Errorf("after eleven hours: %v, want %v", got, want)
		}
		pass(7 * time.Hour)
		if got := failures(3, th, home); !slices.Equal(got, []time.Duration{0, 1, 2}) {
			t.Errorf("after seven hours: %v", got)
		}
	})
}

// While a delay lasts no password is checked: an answer that tells the right
// one would make the delay worthless.
func TestAuth23RightPasswordIsRefusedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fakeHashes
		users, _ := newTestUsers(t, &f)
		for range 5 {
			if _, err := users.Authenticate(t.Context(), home, "alice", "wrong-password"); !errors.Is(err, ErrCredentials) {
				t.Fatal(err)
			}
		}
		for _, password := range []string{"wrong-password", "password-a"} {
			_, err := users.Authenticate(t.Context(), home, "alice", password)
			throttled, ok := errors.AsType[*ThrottledError](err)
			if !ok || throttled.RetryAfter != time.Second || f.checked.Load() != 5 {
				t.Errorf("%q: %v, %d checks", password, err, f.checked.Load())
			}
		}
		// Being refused does not make the delay longer; a success ends the count.
		pass(time.Second)
		for range 3 {
			if _, err := users.Authenticate(t.Context(), home, "alice", "password-a"); err != nil {
				t.Error(err)
			}
		}
		for range 5 {
			if _, err := users.Authenticate(t.Context(), home, "alice", "wrong-password"); !errors.Is(err, ErrCredentials) {
				t.Error(err)
			}
		}
	})
}

// The delay is the same for a name that nobody has.
func TestAuth23UnknownNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users, _ := newTestUsers(t, &fakeHashes{})
		for _, name := range []string{"alice", "mallory", "Not A Name"} {
			for i := range 6 {
				_, err := users.Authenticate(t.Context(), home, name, "wrong-password")
				if _, throttled := errors.AsType[*ThrottledError](err); throttled != (i == 5) {
					t.Errorf("%q, attempt %d: %v", name, i+1, err)
				}
			}
		}
	})
}

// However long one address guesses, others are not slowed down for that name.
func TestAuth23NoLockOutByOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		victim := address(1)
		if fail(th, "alice", victim) != 0 { // a slip of the finger
			t.Error("first attempt was delayed")
		}
		for range 3000 {
			fail(th, "alice", home)
			if wait := th.wait("alice", victim); wait != 0 {
				t.Fatalf("the victim has to wait %v", wait)
			}
		}
		if wait := th.wait("alice", home); wait != time.Minute {
			t.Errorf("the attacker has to wait %v", wait)
		}
	})
}

// Guessing from many addresses is slowed down by the name, for all that have
// failed; from any other address one attempt gets in at once.
func TestAuth23ManyAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		const attackers = 200
		for i := range attackers {
			if waited := fail(th, "alice", address(i)); waited != 0 {
				t.Fatalf("first attempt from %v waited %v", address(i), waited)
			}
		}
		begin := time.Now()
		for i := range attackers {
			fail(th, "alice", address(i))
		}
		if took := time.Since(begin); took != attackers*10*time.Second {
			t.Errorf("%d second attempts took %v", attackers, took)
		}
		victim := address(attackers)
		if wait := th.wait("alice", victim); wait != 0 {
			t.Errorf("the victim has to wait %v", wait)
		}
		a, _ := th.begin("alice", victim)
		th.succeeded(a)
		if wait := th.wait("alice", victim); wait != 0 {
			t.Errorf("after a login, the victim has to wait %v", wait)
		}
		if wait := th.wait("alice", address(0)); wait == 0 {
			t.Error("the victim's login ended the attackers' delay")
		}
		if wait := th.wait("bob", address(0)); wait != 0 {
			t.Errorf("for another name: %v", wait)
		}
	})
}

// One address that tries one password on many names is slowed down, and an
// account of its own does not help.
func TestAuth23OneAddressManyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		var waited time.Duration
		for i := range 60 {
			waited = fail(th, fmt.Sprintf("user-%d", i), home)
			if (waited != 0) != (i >= 50) {
				t.Errorf("attempt %d waited %v", i+1, waited)
			}
			pass(th.wait("own", home))
			a, wait := th.begin("own", home)
			if wait != 0 {
				t.Fatalf("own account: %v", wait)
			}
			th.succeeded(a)
		}
		if waited < 30*time.Second {
			t.Errorf("the last one waited %v", waited)
		}
		if wait := th.wait("alice", address(1)); wait != 0 {
			t.Errorf("from another address: %v", wait)
		}
	})
}

func TestAuth23AddressesOfOneMachine(t *testing.T) {
	for _, tc := range []struct {
		one, other       string
		address, network bool // the same
	}{
		{"192.0.2.1", "::ffff:192.0.2.1", true, true},
		{"192.0.2.1", "192.0.2.2", false, false},
		{"2001:db8:1:1::1", "2001:db8:1:1:ffff::2", true, true},
		{"2001:db8:1:1::1", "2001:db8:1:2::1", false, true},
		{"2001:db8:1:1::1", "2001:db8:2:1::1", false, false},
		{"fe80::1%eth0", "fe80::2%eth1", true, true},
	} {
		address1, network1 := prefixes(netip.MustParseAddr(tc.one))
		address2, network2 := prefixes(netip.MustParseAddr(tc.other))
		if (address1 == address2) != tc.address || (network1 == network2) != tc.network {
			t.Errorf("%s is %v in %v, %s is %v in %v", tc.one, address1, network1, tc.other, address2, network2)
		}
	}
	// Somebody without an address is throttled with all others without one.
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		if got := failures(7, th, netip.Addr{}); !slices.Equal(got, []time.Duration{0, 0, 0, 0, 0, 1, 2}) {
			t.Errorf("no address: %v", got)
		}
	})
}

func TestAuth23NetworkOfAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for i := range 210 {
			from := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 1, byte(i >> 8), byte(i), 15: 1})
			waited := fail(th, fmt.Sprintf("user-%d", i), from)
			if (waited != 0) != (i >= 200) || waited > 15*time.Second {
				t.Errorf("attempt %d waited %v", i+1, waited)
			}
		}
	})
}

// Many wrong passwords sent at once are checked no oftener than one by one;
// many right ones are all let in.
func TestAuth23ManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f fakeHashes
		users, _ := newTestUsers(t, &f)
		f.during = func() { pass(time.Millisecond) }
		atOnce := func(password string) (credentials, throttled, ok int64) {
			var counts [3]atomic.Int64
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					_, err := users.Authenticate(t.Context(), home, "alice", password)
					if _, is := errors.AsType[*ThrottledError](err); is {
						counts[1].Add(1)
					} else if errors.Is(err, ErrCredentials) {
						counts[0].Add(1)
					} else if err == nil {
						counts[2].Add(1)
					}
				})
			}
			wg.Wait()
			return counts[0].Load(), counts[1].Load(), counts[2].Load()
		}
		if _, _, ok := atOnce("password-a"); ok != 100 {
			t.Errorf("%d of 100 right passwords were let in", ok)
		}
		if credentials, throttled, _ := atOnce("wrong-password"); credentials != 5 || throttled != 95 {
			t.Errorf("%d wrong passwords were checked, %d were not", credentials, throttled)
		}
	})
}

// An attempt that was not carried out leaves nothing behind.
func TestThrottleTakesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle()
		for range 1000 {
			a, wait := th.begin("alice", home)
			if wait != 0 {
				t.Fatal(wait)
			}
			th.takeBack(a)
		}
		for _, tb := range []table{th.pairs, th.addresses, th.networks, th.names} {
			if len(tb.counts) != 0 {
				t.Errorf("left: %v", tb.counts)
			}
		}
	})
}

// Filling a table resets no count that is higher than what fills it.
func TestAuth23EvictionResetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tb := newTable(5, time.Minute, time.Minute)
		hot := key{name: "hot"}
		for range 3 {
			tb.add(hot, time.Now())
		}
		pass(time.Second)
		for i := range maxCounts + 500 {
			k := key{name: "filler", prefix: netip.PrefixFrom(address(i), 32)}
			tb.add(k, time.Now())
			if i%2 == 0 {
				tb.add(k, time.Now())
			}
			if len(tb.counts) > maxCounts {
				t.Fatalf("%d counts", len(tb.counts))
			}
		}
		if got := tb.get(hot, time.Now()).failures; got != 3 {
			t.Errorf("%d failures are left of 3", got)
		}
		// A new count is kept as well: the table is not closed to newcomers.
		last := key{name: "last"}
		tb.add(last, time.Now())
		if got := tb.get(last, time.Now()).failures; got != 1 {
			t.Errorf("%d failures are left of the newest", got)
		}
		// What is forgiven makes room first, all at once.
		pass(150 * time.Second)
		tb.add(key{name: "later"}, time.Now())
		if len(tb.counts) != 2 {
			t.Errorf("%d counts are left after everything but one was forgiven", len(tb.counts))
		}
	})
}

// Times far apart do not overflow.
func TestForgiveForever(t *testing.T) {
	tb := newTable(5, time.Second, time.Second)
	c := tb.left(count{failures: 5, last: time.Time{}}, time.Unix(math.MaxInt32, 0))
	if c.failures != 0 {
		t.Errorf("%d failures after two thousand years", c.failures)
	}
	// A clock that went back forgives nothing.
	now := time.Now()
	if c = tb.left(count{failures: 5, last: now.Add(time.Hour)}, now); c.failures != 5 {
		t.Errorf("%d failures", c.failures)
	}
}
