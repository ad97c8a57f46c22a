package auth

import "sync"

// Revocation says what has been revoked.
type Revocation struct {
	User       string // whose
	Credential string // which one; empty: all the user has
}

// Covers reports whether the token that proved id is among it.
func (r Revocation) Covers(id Identity) bool {
	return r.User == id.Subject && (r.Credential == "" || r.Credential == id.Credential)
}

// OnRevoked calls fn with whatever is revoked from now on, on whichever node:
// all of a user who is disabled or gets another password or role, and each
// credential that is revoked, gives way or has ended. Tokens are refused by
// then. Calls come one at a time, until stop is called; fn must not call stop.
//
// What is opened with a token just then may be missed by fn. So whoever opens
// something that lasts makes it known to fn first, and then asks
// [Tokens.Revoked].
func (c *Credentials) OnRevoked(fn func(Revocation)) (stop func()) {
	var mu sync.Mutex // of the two watches
	tell := func(r Revocation) {
		mu.Lock()
		defer mu.Unlock()
		fn(r)
	}
	generations := map[string]string{}
	stopUsers := c.users.store.Watch(func(name string, value []byte, _ uint64) {
		var r record
		if value != nil {
			r, _ = decodeUser(name, value) // one that cannot be read has no token either
		}
		before, known := generations[name]
		generations[name] = r.Generation
		if known && r.Generation != before {
			tell(Revocation{User: name})
		}
	})
	owners := map[string]string{}
	stopCredentials := c.store.Watch(func(id string, value []byte, _ uint64) {
		var r credential
		if value != nil && decode(value, &r) == nil {
			if r.Kind != kindTicket && r.Kind != kindInvitation {
				owners[id] = r.User
			}
			return
		}
		if user, ok := owners[id]; ok {
			delete(owners, id)
			tell(Revocation{User: user, Credential: id})
		}
	})
	return func() {
		stopUsers()
		stopCredentials()
	}
}
