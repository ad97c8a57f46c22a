package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Store keeps a small value per key: users by their name in one, credentials
// by their ID in another, signing keys in a third. A revision is positive and
// grows with every write.
type Store interface {
	// Get returns what is stored, and revision 0 when there is nothing. It
	// answers from memory and does not wait. The caller does not change value.
	Get(key string) (value []byte, revision uint64)
	// Put stores value if the key's revision is still the given one (0: if
	// there is nothing yet), and reports whether it did. When it returns, Get
	// sees it. It fails when ctx has ended.
	Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error)
	// Delete removes a key if its revision is still the given one, and reports
	// whether it did. When it returns, Get sees it. It fails when ctx has ended.
	Delete(ctx context.Context, key string, revision uint64) (bool, error)
	// Watch calls fn with all there is before it returns, and then with every
	// change that Get sees (a nil value is a deletion), by whichever node, one
	// at a time, until stop is called. A slow fn may miss a change that a later
	// one of the same key has replaced. When stop returns, fn is not running
	// and is not called again; so fn must not call stop.
	Watch(fn func(key string, value []byte, revision uint64)) (stop func())
}

// formatVersion is the version of all that is stored. Each value says its own.
const formatVersion = 1

// changeWait bounds how long a change is tried while others change the same.
const changeWait = 10 * time.Second

// now is the time as it is stored.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// decode reads a stored value. What a newer version wrote is not guessed at.
func decode(value []byte, v any) error {
	var format struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(value, &format); err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	if format.Version > formatVersion {
		return fmt.Errorf("stored by a newer wigwag, in version %d; this one reads version %d", format.Version, formatVersion)
	}
	if format.Version < 1 {
		return errors.New("damaged: no version")
	}
	if err := json.Unmarshal(value, v); err != nil {
		return fmt.Errorf("damaged: %w", err)
	}
	return nil
}
