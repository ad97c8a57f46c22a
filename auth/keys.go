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
	"time"
)

// signingKeys is where in its store all of them are: one value, so that nodes
// that start at once agree on it.
const signingKeys = "signing"

// Keys are the P-256 keys that tokens are signed with.
type Keys struct {
	byID   map[string]*ecdsa.PrivateKey // by [thumbprint]
	newest string
}

// keyFile is how keys are stored.
type keyFile struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"` // the newest last
}

type storedKey struct {
	Created time.Time `json:"created"`
	PKCS8   []byte    `json:"pkcs8"` // DER
}

// LoadKeys returns the keys kept in store. Where there are none it makes one;
// of several nodes that do so at once one succeeds, and all return its key.
func LoadKeys(ctx context.Context, store Store) (*Keys, error) {
	ctx, cancel := context.WithTimeout(ctx, changeWait)
	defer cancel()
	for {
		if value, revision := store.Get(signingKeys); revision != 0 {
			keys, err := decodeKeys(value)
			if err != nil {
				return nil, fmt.Errorf("signing keys: %w", err)
			}
			return keys, nil
		}
		value, err := makeKeys()
		if err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
		// Whether it was stored or another one was: Get tells, soon.
		if _, err := store.Put(ctx, signingKeys, value, 0); err != nil {
			return nil, fmt.Errorf("store a signing key: %w", err)
		}
	}
}

// makeKeys returns a new key as it is stored.
func makeKeys() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	created := time.Now().UTC().Truncate(time.Millisecond)
	return json.Marshal(keyFile{Version: formatVersion, Keys: []storedKey{{Created: created, PKCS8: der}}})
}

func decodeKeys(value []byte) (*Keys, error) {
	var file keyFile
	if err := decode(value, &file); err != nil {
		return nil, err
	}
	keys := make([]*ecdsa.PrivateKey, 0, len(file.Keys))
	for i, stored := range file.Keys {
		parsed, err := x509.ParsePKCS8PrivateKey(stored.PKCS8)
		if err != nil {
			return nil, fmt.Errorf("damaged: key %d: %w", i+1, err)
		}
		key, ok := parsed.(*ecdsa.PrivateKey)
		if !ok {
			return nil, fmt.Errorf("damaged: key %d is not a P-256 key", i+1)
		}
		keys = append(keys, key)
	}
	return newKeys(keys...)
}

// newKeys takes keys of P-256, the newest last.
func newKeys(keys ...*ecdsa.PrivateKey) (*Keys, error) {
	k := &Keys{byID: map[string]*ecdsa.PrivateKey{}}
	for i, key := range keys {
		if key.Curve != elliptic.P256() {
			return nil, fmt.Errorf("damaged: key %d is not a P-256 key", i+1)
		}
		id, err := thumbprint(&key.PublicKey)
		if err != nil {
			return nil, err
		}
		k.byID[id], k.newest = key, id
	}
	if len(keys) == 0 {
		return nil, errors.New("damaged: there is none")
	}
	return k, nil
}

// thumbprint is the key's ID as RFC 7638 has it.
func thumbprint(key *ecdsa.PublicKey) (string, error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return "", err
	}
	size := (len(point) - 1) / 2
	enc := base64.RawURLEncoding
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`,
		enc.EncodeToString(point[1:1+size]), enc.EncodeToString(point[1+size:])))
	return enc.EncodeToString(sum[:]), nil
}
