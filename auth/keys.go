package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// signingKeys is where in its store all of them are: one value, so that
	// nodes that start at once agree on it.
	signingKeys = "signing"

	keyLifetime = 90 * 24 * time.Hour // of the key that signs, before the next one does
	keyAfter    = 2 * tokenLifetime   // how long tokens of an old key are verified
)

// errKeysUnreadable is about the store, not about a token.
var errKeysUnreadable = errors.New("signing keys")

// Keys are the P-256 keys that tokens are signed with: the next one, which is
// published before it is used; the current one, which signs; old ones, until
// what they signed has ended. Nodes share them by their store.
type Keys struct {
	store Store
	read  atomic.Pointer[keySet] // of the newest revision seen
}

// keySet is one revision of the keys.
type keySet struct {
	revision uint64
	file     keyFile
	byID     map[string]*ecdsa.PrivateKey // by [thumbprint]
	ids      []string                     // in the file's order
}

// signingKey is the key that signs.
type signingKey struct {
	id      string
	private *ecdsa.PrivateKey
}

// keyFile is how keys are stored.
type keyFile struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"` // old ones, the current, the next
}

type storedKey struct {
	Created time.Time `json:"created"`
	Signs   time.Time `json:"signs,omitzero"`   // since when
	Retired time.Time `json:"retired,omitzero"` // since when it does not any more
	PKCS8   []byte    `json:"pkcs8"`            // DER
}

// LoadKeys returns the keys kept in store. Where there are none it makes them;
// of several nodes that do so at once one succeeds, and all use its keys.
func LoadKeys(ctx context.Context, store Store) (*Keys, error) {
	k := &Keys{store: store}
	err := k.change(ctx, func(f *keyFile) (bool, error) {
		return f.complete()
	})
	if err != nil {
		return nil, err
	}
	_, err = k.current()
	return k, err
}

// Rotate makes the next key the current one, and a new next one. Tokens that
// the old one has signed stay good.
func (k *Keys) Rotate(ctx context.Context) error {
	return k.change(ctx, func(f *keyFile) (bool, error) { return true, f.rotate() })
}

// RotateWhenDue rotates when the current key has signed for 90 days.
func (k *Keys) RotateWhenDue(ctx context.Context) error {
	s, err := k.current()
	if err != nil || !s.file.due() {
		return err
	}
	return k.change(ctx, func(f *keyFile) (bool, error) {
		if !f.due() { // somebody else has
			return false, nil
		}
		return true, f.rotate()
	})
}

// JWKS returns the public keys as a JSON Web Key Set (RFC 7517), the next one
// among them.
func (k *Keys) JWKS() ([]byte, error) {
	s, err := k.current()
	if err != nil {
		return nil, err
	}
	type jwk struct {
		Type      string `json:"kty"`
		Curve     string `json:"crv"`
		X         string `json:"x"`
		Y         string `json:"y"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
		ID        string `json:"kid"`
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for _, id := range s.ids {
		x, y, err := coordinates(&s.byID[id].PublicKey)
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, jwk{Type: "EC", Curve: "P-256", X: x, Y: y, Use: "sig", Algorithm: "ES256", ID: id})
	}
	return json.Marshal(set)
}

// signing returns the key that signs.
func (k *Keys) signing() (signingKey, error) {
	s, err := k.current()
	if err != nil {
		return signingKey{}, err
	}
	id := s.ids[s.file.currentKey()]
	return signingKey{id, s.byID[id]}, nil
}

// verifying returns the public key of an ID, or [errUnknownKey].
func (k *Keys) verifying(id string) (*ecdsa.PublicKey, error) {
	s, err := k.current()
	if err != nil {
		return nil, err
	}
	key, ok := s.byID[id]
	if !ok {
		return nil, errUnknownKey
	}
	return &key.PublicKey, nil
}

// current returns the keys as they are stored now.
func (k *Keys) current() (*keySet, error) {
	value, revision := k.store.Get(signingKeys)
	if s := k.read.Load(); s != nil && s.revision == revision {
		return s, nil
	}
	s, err := decodeKeys(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errKeysUnreadable, err)
	}
	s.revision = revision
	k.read.Store(s)
	return s, nil
}

// change changes what is stored, again when somebody else did meanwhile. It is
// done when the function returns false: there is nothing to change.
func (k *Keys) change(ctx context.Context, edit func(*keyFile) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		var file keyFile
		value, revision := k.store.Get(signingKeys)
		if revision != 0 {
			s, err := decodeKeys(value)
			if err != nil {
				return fmt.Errorf("%w: %w", errKeysUnreadable, err)
			}
			file = s.file
		}
		changed, err := edit(&file)
		if err != nil {
			return fmt.Errorf("make a signing key: %w", err)
		}
		if !changed {
			return nil
		}
		file.Version = formatVersion
		if value, err = json.Marshal(file); err != nil {
			return err
		}
		stored, err := k.store.Put(ctx, signingKeys, value, revision)
		if err != nil {
			return fmt.Errorf("store a signing key: %w", err)
		}
		if stored {
			return nil
		}
	}
}

// complete adds a current and a next key where they are missing.
func (f *keyFile) complete() (changed bool, err error) {
	for f.currentKey()+2 > len(f.Keys) {
		key, err := makeKey()
		if err != nil {
			return false, err
		}
		if len(f.Keys) == 0 {
			key.Signs = key.Created
		}
		f.Keys = append(f.Keys, key)
		changed = true
	}
	return changed, nil
}

func (f *keyFile) rotate() error {
	at := now()
	f.Keys = slices.DeleteFunc(slices.Clone(f.Keys), func(k storedKey) bool {
		return !k.Retired.IsZero() && at.Sub(k.Retired) > keyAfter
	})
	current := f.currentKey()
	f.Keys[current].Retired = at
	if _, err := f.complete(); err != nil {
		return err
	}
	f.Keys[current+1].Signs = at
	return nil
}

// currentKey returns where the first key is that is not retired.
func (f *keyFile) currentKey() int {
	for i, key := range f.Keys {
		if key.Retired.IsZero() {
			return i
		}
	}
	return len(f.Keys)
}

func (f *keyFile) due() bool {
	key := f.Keys[f.currentKey()]
	since := key.Signs
	if since.IsZero() {
		since = key.Created
	}
	return time.Since(since) >= keyLifetime
}

func makeKey() (storedKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return storedKey{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return storedKey{Created: now(), PKCS8: der}, err
}

func decodeKeys(value []byte) (*keySet, error) {
	s := &keySet{byID: map[string]*ecdsa.PrivateKey{}}
	if err := decode(value, &s.file); err != nil {
		return nil, err
	}
	for i, stored := range s.file.Keys {
		parsed, err := x509.ParsePKCS8PrivateKey(stored.PKCS8)
		if err != nil {
			return nil, fmt.Errorf("damaged: key %d: %w", i+1, err)
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok || key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("damaged: key %d is not a P-256 key", i+1)
		}
		id, err := thumbprint(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		s.byID[id] = key
		s.ids = append(s.ids, id)
	}
	if s.file.currentKey() == len(s.file.Keys) {
		return nil, errors.New("damaged: there is none that signs")
	}
	return s, nil
}

// thumbprint is the key's ID as RFC 7638 has it.
func thumbprint(key *ecdsa.PublicKey) (string, error) {
	x, y, err := coordinates(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, x, y))
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// coordinates returns x and y as a JWK has them (RFC 7518, section 6.2.1).
func coordinates(key *ecdsa.PublicKey) (x, y string, err error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return "", "", err
	}
	size := (len(point) - 1) / 2
	enc := base64.RawURLEncoding
	return enc.EncodeToString(point[1 : 1+size]), enc.EncodeToString(point[1+size:]), nil
}
