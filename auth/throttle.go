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
// longest. Quiet forgives: one failure per interval since the last.
//
// Nobody is locked out: the delay by name, which strangers can cause, holds
// only for addresses that have failed for that name themselves; one that has
// not is let in at once. Only who shares an address with an attacker shares
// its delays, of a minute at most. So behind a proxy it matters that the
// address is the client's, not the proxy's.
//
// An attempt counts as failed from its beginning until it has succeeded, so
// many at once gain nothing. A success clears only the count of its name and
// address: whoever has an account of their own cannot use it to wipe away
// guesses at others.
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

// newAttempt takes what is not a user name for the empty one: it is nobody's.
func newAttempt(name string, from netip.Addr) attempt {
	if !validName(name) {
		name = ""
	}
	address, network := prefixes(from)
	return attempt{
		pair:    key{name: name, prefix: address},
		address: key{prefix: address},
		network: key{prefix: network},
		name:    key{name: name},
	}
}

// key is a name, an address or a network, or a name with an address.
type key struct {
	name   string
	prefix netip.Prefix
}

// The free attempts.
const (
	freeOfPair    = 5
	freeOfAddress = 50
	freeOfNetwork = 200
	freeOfName    = 100
)

func newThrottle() *throttle {
	return &throttle{
		pairs:     newTable(freeOfPair, time.Minute, time.Hour),
		addresses: newTable(freeOfAddress, time.Minute, time.Minute),
		networks:  newTable(freeOfNetwork, 15*time.Second, 15*time.Second),
		names:     newTable(freeOfName, 10*time.Second, 10*time.Second),
	}
}

// wait returns how long an attempt has to wait before it is let in.
func (t *throttle) wait(name string, from netip.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waitLocked(newAttempt(name, from), time.Now())
}

// begin lets an attempt in and counts it as failed, or returns how long to
// wait.
func (t *throttle) begin(name string, from netip.Addr) (attempt, time.Duration) {
	a, now := newAttempt(name, from), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait := t.waitLocked(a, now); wait > 0 {
		return attempt{}, wait
	}
	t.pairs.add(a.pair, now)
	t.addresses.add(a.address, now)
	t.networks.add(a.network, now)
	t.names.add(a.name, now)
	return a, 0
}

func (t *throttle) waitLocked(a attempt, now time.Time) time.Duration {
	wait := max(t.pairs.wait(a.pair, now), t.addresses.wait(a.address, now), t.networks.wait(a.network, now))
	if t.pairs.get(a.pair, now).failures > 0 {
		wait = max(wait, t.names.wait(a.name, now))
	}
	return wait
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
	maxDoubling = 6      // 64 seconds: beyond every table's longest delay
)

// table counts failures of one kind.
type table struct {
	free    int           // failures without a delay
	longest time.Duration // the longest delay
	forgive time.Duration // the quiet that forgives one failure
	counts  map[key]count
}

// count is how often a key failed, and when last.
type count struct {
	failures int
	last     time.Time
}

func newTable(free int, longest, forgive time.Duration) table {
	return table{free: free, longest: longest, forgive: forgive, counts: map[key]count{}}
}

// get returns what is left of k's count.
func (t *table) get(k key, now time.Time) count {
	return t.left(t.counts[k], now)
}

// left returns what the quiet since its last failure has left of a count.
func (t *table) left(c count, now time.Time) count {
	quiet := max(0, now.Sub(c.last))
	c.failures = max(0, c.failures-int(quiet/t.forgive))
	return c
}

// wait returns how long k has to wait.
func (t *table) wait(k key, now time.Time) time.Duration {
	c := t.get(k, now)
	over := c.failures - t.free
	if over < 0 {
		return 0
	}
	delay := min(time.Second<<over, t.longest)
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
		left := t.left(c, now)
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
