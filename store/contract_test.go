package store

import (
	"testing"

	"wigwag/hub"
	"wigwag/hub/buckettest"
	"wigwag/hub/logtest"
)

// kinds are the stores that must all behave alike.
func kinds(t *testing.T) map[string]Options {
	t.Helper()
	return map[string]Options{
		"memory":   {Memory: true, MaxBytes: 8 << 20},
		"always":   {Dir: t.TempDir(), MaxBytes: 8 << 20},
		"interval": {Dir: t.TempDir(), Sync: SyncInterval, MaxBytes: 8 << 20},
	}
}

// TestContracts: the store is what hub asks for.
func TestContracts(t *testing.T) {
	for kind := range kinds(t) {
		t.Run(kind, func(t *testing.T) {
			t.Run("log", func(t *testing.T) {
				logtest.Run(t, func(t *testing.T) hub.Log { return open(t, kinds(t)[kind]).Messages() })
			})
			t.Run("bucket", func(t *testing.T) {
				buckettest.Run(t, func(t *testing.T) hub.Bucket { return open(t, kinds(t)[kind]).Bucket(Rooms) })
			})
		})
	}
}
