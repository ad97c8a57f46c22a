package gate_test

import (
	"errors"
	"sync"
	"testing"

	"wigwag/web/gate"
)

func TestGate(t *testing.T) {
	g := gate.New(3, 2)
	enter := func(user string, want error) (leave func()) {
		t.Helper()
		leave, err := g.Enter(user)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", user, err, want)
		}
		return leave
	}
	first, second := enter("alice", nil), enter("alice", nil)
	enter("alice", gate.ErrUserFull)
	third := enter("bob", nil)
	enter("carol", gate.ErrFull)
	first()
	if n, of := g.Inside(), g.InsideOf("alice"); n != 2 || of != 1 {
		t.Errorf("%d are inside, %d of alice", n, of)
	}
	fourth := enter("alice", nil)
	empty := g.Close()
	enter("carol", gate.ErrClosed)
	for _, leave := range []func(){second, third, fourth} {
		select {
		case <-empty:
			t.Error("empty with somebody inside")
		default:
		}
		leave()
	}
	<-empty
	<-g.Close()
	<-gate.New(1, 1).Close()
}

func TestGateWithoutLimits(t *testing.T) {
	g := gate.New(-1, -1)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			leave, err := g.Enter("alice")
			if err != nil {
				t.Error(err)
				return
			}
			leave()
		})
	}
	all.Wait()
	if n := g.Inside(); n != 0 {
		t.Errorf("%d are inside", n)
	}
	<-g.Close()
}
