package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// record is how a user is stored, under the name.
type record struct {
	Version      int       `json:"version"`
	Created      time.Time `json:"created"`
	PasswordHash string    `json:"password_hash,omitempty"` // without one no password is right
	Disabled     bool      `json:"disabled,omitempty"`
	Generation   string    `json:"generation"` // random, new whenever all tokens end
}

func (r record) user(name string) User {
	return User{Name: name, Disabled: r.Disabled, Created: r.Created, generation: r.Generation}
}

// get returns a user's record, and revision 0 when there is none.
func (u *Users) get(name string) (record, uint64, error) {
	value, revision := u.store.Get(name)
	if revision == 0 {
		return record{}, 0, nil
	}
	if r, ok := u.read.get(name, value); ok {
		return r, revision, nil
	}
	r, err := decodeUser(name, value)
	if err == nil {
		u.read.add(name, value, r)
	}
	return r, revision, err
}

// readRecords remembers what stored values say: every request asks for its
// user's. It is asked with the value of the moment, so it cannot be out of
// date. There are as many as there are users.
type readRecords struct {
	mu sync.RWMutex
	by map[string]readRecord // guarded by mu
}

type readRecord struct {
	value []byte
	record
}

func (c *readRecords) get(name string, value []byte) (record, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	r, ok := c.by[name]
	return r.record, ok && bytes.Equal(r.value, value)
}

func (c *readRecords) add(name string, value []byte, r record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[string]readRecord)
	}
	c.by[name] = readRecord{value, r}
}

func decodeUser(name string, value []byte) (record, error) {
	var r record
	err := decode(value, &r)
	if err == nil && r.Generation == "" { // it would be the one of tokens without
		err = errors.New("damaged: no generation")
	}
	if err != nil {
		return record{}, fmt.Errorf("user %q: %w", name, err)
	}
	return r, nil
}

func (u *Users) put(ctx context.Context, name string, r record, revision uint64) (bool, error) {
	r.Version = formatVersion
	value, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	return u.store.Put(ctx, name, value, revision)
}

// change changes a record, again when somebody else did meanwhile. It is done
// when the function returns false: there is nothing to change.
func (u *Users) change(ctx context.Context, name string, edit func(*record) bool) error {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		r, revision, err := u.get(name)
		if err != nil {
			return err
		}
		if revision == 0 {
			return ErrUnknownUser
		}
		if !edit(&r) {
			return nil
		}
		changed, err := u.put(ctx, name, r, revision)
		if err != nil {
			return fmt.Errorf("change user: %w", err)
		}
		if changed {
			return nil
		}
	}
}

// all returns the records of all users by name.
func (u *Users) all() map[string][]byte {
	all := map[string][]byte{}
	stop := u.store.Watch(func(name string, value []byte, _ uint64) {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	})
	stop() // all there is has been told
	return all
}
