package main

import (
	"errors"
	"fmt"
	"testing"

	"wigwag/store"
)

func TestReady(t *testing.T) {
	for name, tt := range map[string]struct {
		up     bool
		stored error
		want   bool
	}{
		"serving":      {true, nil, true},
		"draining":     {false, nil, false},
		"no answer":    {true, fmt.Errorf("messages: %w", store.ErrUnavailable), false},
		"broken":       {true, errors.New("broken"), false},
		"full":         {true, fmt.Errorf("messages: %w", store.ErrFull), true},
		"full, ending": {false, store.ErrFull, false},
	} {
		a := &admission{stored: func() error { return tt.stored }}
		a.ready.Store(tt.up)
		if got := a.isReady(); got != tt.want {
			t.Errorf("%s: ready %t", name, got)
		}
	}
}
