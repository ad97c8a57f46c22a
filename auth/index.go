package auth

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	upkeepEvery  = time.Minute
	sweepEvery   = 10              // upkeeps
	writtenAfter = 5 * time.Minute // how far a stored last use may lag
	closeWait    = 2 * time.Second
)

// index knows whose credentials there are, so that they can be listed and
// counted. What is stored decides; the index follows it, and counts what is
// about to be stored, so that many at once do not go beyond a limit.
type index struct {
	mu    sync.Mutex
	items map[string]item                // by ID; guarded by mu
	users map[string]map[string]struct{} // IDs by user; guarded by mu
	uses  map[string]time.Time           // last uses that are not stored yet, by ID; guarded by mu
}

type item struct {
	kind Kind
	user string
	used time.Time
}

func newIndex() *index {
	return &index{items: map[string]item{}, users: map[string]map[string]struct{}{}, uses: map[string]time.Time{}}
}

// apply follows a change of the store.
func (c *Credentials) apply(id string, value []byte) {
	var r credential
	if value == nil || decode(value, &r) != nil { // one that cannot be read is good for nothing
		c.index.drop(id)
		c.read.forget(id)
		return
	}
	c.index.mu.Lock()
	defer c.index.mu.Unlock()
	c.index.setLocked(id, item{r.Kind, r.User, r.Used})
}

func (x *index) setLocked(id string, i item) {
	x.items[id] = i
	if x.users[i.user] == nil {
		x.users[i.user] = map[string]struct{}{}
	}
	x.users[i.user][id] = struct{}{}
}

func (x *index) drop(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, ok := x.items[id]
	if !ok {
		return
	}
	delete(x.items, id)
	delete(x.uses, id)
	delete(x.users[i.user], id)
	if len(x.users[i.user]) == 0 {
		delete(x.users, i.user)
	}
}

// of returns the IDs of a user's credentials.
func (x *index) of(user string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.users[user]))
}

// all returns the IDs of everybody's.
func (x *index) all() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.items))
}

// reserve counts a credential that is about to be stored, and names the one
// that gives way to it: of a user who has too many of that kind, or, when there
// are too many in all, of the user who has the most.
func (x *index) reserve(id string, c Credential) (giveWay string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for other := range x.users[c.User] {
		if x.items[other].kind == c.Kind {
			n++
		}
	}
	switch most, kept := c.Kind.limit(); {
	case n >= most && kept:
		return "", ErrTooMany
	case n >= most:
		giveWay = x.idlestLocked(c.User, func(k Kind) bool { return k == c.Kind })
	case len(x.items) >= maxCredentials:
		var most string
		for user, ids := range x.users {
			if len(ids) > len(x.users[most]) {
				most = user
			}
		}
		giveWay = x.idlestLocked(most, func(k Kind) bool {
			_, kept := k.limit()
			return !kept
		})
		if giveWay == "" {
			return "", fmt.Errorf("%w: %d in all", ErrTooMany, maxCredentials)
		}
	}
	x.setLocked(id, item{c.Kind, c.User, c.Used})
	return giveWay, nil
}

// idlestLocked returns the credential of a user that was not used for longest.
func (x *index) idlestLocked(user string, among func(Kind) bool) (idlest string) {
	var since time.Time
	for id := range x.users[user] {
		i := x.items[id]
		used := i.used
		if later := x.uses[id]; later.After(used) {
			used = later
		}
		if among(i.kind) && (idlest == "" || used.Before(since)) {
			idlest, since = id, used
		}
	}
	return idlest
}

// use notes that a credential is in use. It is stored later, by [keepUp].
func (x *index) use(c Credential) {
	at := now()
	if at.Sub(c.Used) < writtenAfter {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.items[c.ID]; ok {
		x.uses[c.ID] = at
	}
}

// lastUse adds to what was stored what is not yet.
func (x *index) lastUse(c *Credential) {
	x.mu.Lock()
	at := x.uses[c.ID]
	x.mu.Unlock()
	c.usedAt(at)
}

// usedAt tells that a credential was used. A web session goes on from there.
func (c *Credential) usedAt(at time.Time) {
	if !at.After(c.Used) {
		return
	}
	if c.Used = at; c.Kind == KindWeb {
		c.Expires = at.Add(webIdle)
	}
}

// keepUp stores last uses and sweeps, until ctx ends and then once more.
func (c *Credentials) keepUp(ctx context.Context, logger *slog.Logger) {
	ticks := time.NewTicker(upkeepEvery)
	defer ticks.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWait)
			defer cancel()
			if err := c.storeUses(ctx); err != nil {
				logger.WarnContext(ctx, "last uses of tokens could not be stored", "err", err)
			}
			return
		case <-ticks.C:
			err := c.storeUses(ctx)
			if err == nil && n%sweepEvery == 0 {
				err = c.sweep(ctx)
			}
			if err != nil && ctx.Err() == nil {
				logger.WarnContext(ctx, "upkeep of tokens failed; it will be tried again", "err", err)
			}
		}
	}
}

func (c *Credentials) storeUses(ctx context.Context) error {
	c.index.mu.Lock()
	uses := maps.Clone(c.index.uses)
	c.index.mu.Unlock()
	for id, at := range uses {
		// get has added the use already.
		if err := c.change(ctx, id, func(*credential) bool { return true }); err != nil {
			return err
		}
		c.index.stored(id, at)
	}
	return nil
}

// stored notes that a last use is stored, of which the store will tell later.
func (x *index) stored(id string, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if i, ok := x.items[id]; ok && at.After(i.used) {
		i.used = at
		x.items[id] = i
	}
	if x.uses[id].Equal(at) {
		delete(x.uses, id)
	}
}

// sweep deletes what has ended or was revoked with its user.
func (c *Credentials) sweep(ctx context.Context) error {
	for _, id := range c.index.all() {
		_, revision := c.store.Get(id)
		_, alive, err := c.alive(id)
		if err != nil || alive != 0 || revision == 0 {
			continue
		}
		if _, err := c.store.Delete(ctx, id, revision); err != nil {
			return err
		}
		c.index.drop(id)
	}
	return nil
}
