package auth

import (
	"net/netip"
	"sync"
	"time"
)

// throttle slows down the guessing of passwords. Failed attempts are counted
// four ways: by name and address together, by address, by network, and by
// name. Beyond a count's free attempts each further failure doubles a delay
// in which attempts are refused unseen, from one second up to the count's
// limit; each limit's worth of quiet forgives one failure.
//
// Nobody is locked out: the delay by name, which strangers can cause, holds
// only for addresses that have failed for that name themselves. One that has
// not is always let in for one attempt.
//
// An attempt counts as failed from its beginning, so many at once gain
// nothing. A success clears only the count of its name and address: whoever
// has an account of their own cannot use it to wipe away guesses at others.
type throttle struct {
	mu        sync.Mutex
	pairs     table // guarded by mu, as are the others
	addresses table
	networks  table
	names     table
}

// attempt holds the keys an attempt is counted under.
type attempt struct {
	pair, address, network, name key
}

// key is a name, an address or a network, or a name with an address.
type key struct {
	name   string
	prefix netip.Prefix
}

func newThrottle() *throttle {
	return &throttle{
		pairs:     newTable(5, time.Minute),
		addresses: newTable(50, time.Minute),
		networks:  newTable(200, 15*time.Second),
		names:     newTable(100, 10*time.Second),
	}
}

// begin lets an attempt in and counts it as failed, or returns how long to
// wait. What is not a user name counts as the empty one.
func (t *throttle) begin(name string, from netip.Addr) (attempt, time.Duration) {
	if !validName(name) {
		name = ""
	}
	address, network := prefixes(from)
	a := attempt{
		pair:    key{name: name, prefix: address},
		address: key{prefix: address},
		network: key{prefix: network},
		name:    key{name: name},
	}
	now := time.Now()

	t.mu.Lock()
	defer t.mu.Unlock()
	wait := max(t.pairs.wait(a.pair, now), t.addresses.wait(a.address, now), t.networks.wait(a.network, now))
	if t.pairs.get(a.pair, now).failures > 0 {
		wait = max(wait, t.names.wait(a.name, now))
	}
	if wait > 0 {
		return attempt{}, wait
	}
	t.pairs.add(a.pair, now)
	t.addresses.add(a.address, now)
	t.networks.add(a.network, now)
	t.names.add(a.name, now)
	return a, 0
}

// succeeded tells that the attempt was not a failure.
func (t *throttle) succeeded(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pairs.counts, a.pair)
	t.takeBackLocked(a)
}

// takeBack tells that the attempt was not carried out.
func (t *throttle) takeBack(a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pairs.takeBack(a.pair)
	t.takeBackLocked(a)
}

func (t *throttle) takeBackLocked(a attempt) {
	t.addresses.takeBack(a.address)
	t.networks.takeBack(a.network)
	t.names.takeBack(a.name)
}

// prefixes returns what counts as one address and as one network. With IPv6 a
// single machine has a /64 to choose from, and a single customer often a /48.
func prefixes(addr netip.Addr) (address, network netip.Prefix) {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		address, _ = addr.Prefix(32)
		return address, address
	}
	address, _ = addr.Prefix(64) // of no address: no prefix, one for all
	network, _ = addr.Prefix(48)
	return address, network
}

const (
	maxCounts   = 10_000 // per table
	maxDoubling = 6      // 64 times a second: more than any limit
)

// table counts failures of one kind.
type table struct {
	free   int           // failures without a delay
	limit  time.Duration // the longest delay, and what forgives one failure
	counts map[key]count
}

// count is how often a key failed, and when last.
type count struct {
	failures int
	last     time.Time
}

func newTable(free int, limit time.Duration) table {
	return table{free: free, limit: limit, counts: map[key]count{}}
}

// get returns the count that is left of k after the quiet since its last
// failure.
func (t *table) get(k key, now time.Time) count {
	return t.forgive(t.counts[k], now)
}

func (t *table) forgive(c count, now time.Time) count {
	if c.failures > 0 {
		c.failures = max(0, c.failures-int(now.Sub(c.last)/t.limit))
	}
	return c
}

// wait returns how long k has to wait.
func (t *table) wait(k key, now time.Time) time.Duration {
	c := t.get(k, now)
	over := c.failures - t.free
	if over < 0 {
		return 0
	}
	delay := min(time.Second<<over, t.limit)
	return max(0, c.last.Add(delay).Sub(now))
}

func (t *table) add(k key, now time.Time) {
	if _, ok := t.counts[k]; !ok && len(t.counts) >= maxCounts {
		t.makeRoom(now)
	}
	c := t.get(k, now)
	t.counts[k] = count{failures: min(c.failures+1, t.free+maxDoubling), last: now}
}

func (t *table) takeBack(k key) {
	c, ok := t.counts[k]
	switch {
	case !ok: // evicted or cleared meanwhile
	case c.failures <= 1:
		delete(t.counts, k)
	default:
		c.failures--
		t.counts[k] = c
	}
}

// makeRoom removes what is forgiven, and if that was nothing the lowest count,
// of equal ones the oldest: to push out a count, an attacker has to fill the
// table with as many failures each.
func (t *table) makeRoom(now time.Time) {
	var weakest key
	var least count
	for k, c := range t.counts {
		left := t.forgive(c, now)
		if left.failures == 0 {
			delete(t.counts, k)
			continue
		}
		if least.failures == 0 || left.failures < least.failures ||
			left.failures == least.failures && left.last.Before(least.last) {
			weakest, least = k, left
		}
	}
	if len(t.counts) >= maxCounts {
		delete(t.counts, weakest)
	}
}
