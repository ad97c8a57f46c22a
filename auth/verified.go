package auth

import (
	"crypto/sha256"
	"sync"
)

// maxVerified bounds [verified].
const maxVerified = 10_000

// verified remembers tokens whose signature and claims were found good, and
// what they claim: a client sends the same token with every request, and a
// signature costs more to verify than all else that a small request needs.
//
// It answers only for what cannot change. That a token has not expired and has
// not been revoked since is for whoever asks to find out, each time anew.
// Tokens that were refused are not remembered, so nobody without a good one can
// fill it; and it keeps no token, only what the whole of one hashes to.
type verified struct {
	mu sync.RWMutex
	by map[[sha256.Size]byte]Identity // guarded by mu; at most maxVerified
}

// get returns the identity that a token claims, if it was found good before.
func (v *verified) get(token string) (Identity, bool) {
	key := sha256.Sum256([]byte(token))
	v.mu.RLock()
	defer v.mu.RUnlock()
	id, ok := v.by[key]
	return id, ok
}

// add remembers a token that was found good. When there is no place left any
// other one gives way: it is verified anew when it comes again.
func (v *verified) add(token string, id Identity) {
	key := sha256.Sum256([]byte(token))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.by == nil {
		v.by = make(map[[sha256.Size]byte]Identity)
	}
	for other := range v.by {
		if len(v.by) < maxVerified {
			break
		}
		delete(v.by, other)
	}
	v.by[key] = id
}

// forget lets go of a token that will never be good again.
func (v *verified) forget(token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.by, sha256.Sum256([]byte(token)))
}
