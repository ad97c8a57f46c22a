package main

import (
	"bytes"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"wigwag/hub"
	"wigwag/store"
)

func keep(t *testing.T, dir string) *kept {
	t.Helper()
	k, err := openKept(t.Context(), store.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)}, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSecret: a secret is made once, also by many at a time, outlives the
// process, and does not change by what its user does with it.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	k := keep(t, dir)
	made := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			secret, err := k.secret(t.Context(), "events")
			if err != nil {
				t.Error(err)
			}
			made[i] = secret
		})
	}
	wg.Wait()
	first := slices.Clone(made[0])
	for _, s := range made {
		if len(s) != secretSize || !bytes.Equal(s, first) {
			t.Errorf("got %x, want %x", s, first)
		}
	}
	clear(made[0])
	other, err := k.secret(t.Context(), "other")
	if err != nil || bytes.Equal(other, first) {
		t.Errorf("another secret is the same, %v", err)
	}
	if err := k.close(); err != nil {
		t.Fatal(err)
	}
	k = keep(t, dir)
	again, err := k.secret(t.Context(), "events")
	if err != nil || !bytes.Equal(again, first) {
		t.Errorf("after a restart it is %x, %v, want %x", again, err, first)
	}
	if ok, err := k.store.Bucket(store.Keys).Put(t.Context(), "secret/short", []byte("x"), 0); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if s, err := k.secret(t.Context(), "short"); err == nil {
		t.Errorf("a damaged secret is %x", s)
	}
	if err := k.close(); err != nil {
		t.Fatal(err)
	}
}
