package auth

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimited bounds the keys of a [Limiter].
const maxLimited = 10_000

// Limiter limits how often something is done, by key: an address or a user.
// Each key has a bucket of tokens that fills at a rate. Its methods are safe
// for concurrent use.
type Limiter struct {
	every time.Duration
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // guarded by mu; at most maxLimited
	rest    *rate.Limiter            // of those there was no place for
	swept   time.Time                // when room was last made; guarded by mu
}

// NewLimiter returns a limiter that lets burst through at once and then one
// every so often. Both must be positive.
func NewLimiter(every time.Duration, burst int) *Limiter {
	return &Limiter{
		every: every, burst: burst,
		buckets: map[string]*rate.Limiter{}, rest: rate.NewLimiter(rate.Every(every), burst),
	}
}

// Take counts one for a key and returns 0, or, without counting it, how long
// to wait for the next.
func (l *Limiter) Take(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Now()
	bucket := l.bucketLocked(key, at)
	r := bucket.ReserveN(at, 1)
	wait := r.DelayFrom(at)
	if wait > 0 {
		r.CancelAt(at)
	}
	return wait
}

// Wait is Take for an address: with IPv6, for its /64.
func (l *Limiter) Wait(from netip.Addr) time.Duration {
	address, _ := prefixes(from)
	return l.Take(address.String())
}

// bucketLocked makes room by letting go of full buckets: one that is made anew
// is the same. When none is full, strangers share one.
func (l *Limiter) bucketLocked(key string, at time.Time) *rate.Limiter {
	if b, ok := l.buckets[key]; ok {
		return b
	}
	if len(l.buckets) >= maxLimited && at.Sub(l.swept) >= l.every {
		l.swept = at
		for k, b := range l.buckets {
			if b.TokensAt(at) >= float64(l.burst) {
				delete(l.buckets, k)
			}
		}
	}
	if len(l.buckets) >= maxLimited {
		return l.rest
	}
	b := rate.NewLimiter(rate.Every(l.every), l.burst)
	l.buckets[key] = b
	return b
}
