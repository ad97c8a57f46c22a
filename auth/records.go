package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// record is how a user is stored, under the name.
type record struct {
	Version      int       `json:"version"`
	Created      time.Time `json:"created"`
	PasswordHash string    `json:"password_hash,omitempty"` // without one no password is right
	Role         Role      `json:"role,omitempty"`          // without one: member
	Disabled     bool      `json:"disabled,omitempty"`
	Generation   string    `json:"generation"`         // random, new whenever all tokens end
	Ended        time.Time `json:"ended,omitzero"`     // when that was last
	Link         *link     `json:"link,omitempty"`     // to sign in with, once
	External     *external `json:"external,omitempty"` // for whom an outside issuer vouches
}

func (r record) user(name string) User {
	return User{
		Name: name, Role: r.role(), Disabled: r.Disabled, HasPassword: r.PasswordHash != "", Created: r.Created,
		generation: r.Generation,
	}
}

func (r record) role() Role {
	if r.Role == "" {
		return RoleMember
	}
	return r.Role
}

// endTokens makes all tokens of the user's worthless, and the link to sign in.
func (r *record) endTokens() {
	r.Generation, r.Ended, r.Link = rand.Text(), now(), nil
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
