package faults

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wigwag/client"
	"wigwag/clients/servertest"
)

// run is a server behind a proxy, and who talks through it.
type run struct {
	t     *testing.T
	life  context.Context //nolint:containedctx // of the server: longer than the test's, so that it can be stopped
	ctx   context.Context //nolint:containedctx // of all that is waited for
	proxy *servertest.Proxy
	data  string
	args  []string
	heard *heard

	now     *servertest.Process
	between atomic.Pointer[servertest.Fault] // of connections to come
	token   string
	clients []*client.Client
	sent    int
}

func newRun(t *testing.T) *run {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	life, kill := context.WithCancel(context.WithoutCancel(ctx))
	t.Cleanup(kill)
	r := &run{t: t, life: life, ctx: ctx, data: t.TempDir(), heard: newHeard()}
	r.fault(servertest.Fault{})
	r.proxy = servertest.NewProxy(t, "", func(int) servertest.Fault { return *r.between.Load() })
	return r
}

func (r *run) fault(f servertest.Fault) { r.between.Store(&f) }

// start begins the server's first life, and signs in.
func (r *run) start(args ...string) {
	r.t.Helper()
	r.args = append(args, "--data", r.data, "--public-url", r.proxy.URL, "--drain-timeout", "2s")
	r.restart()
	r.t.Cleanup(func() {
		r.stopNow()
		if r.t.Failed() {
			r.t.Logf("log of the last wigwag serve:\n%s", r.now.Logs())
		}
	})
	r.token = servertest.SignIn(r.t, r.proxy.URL)
	for range senders {
		r.clients = append(r.clients, r.client())
	}
}

// restart begins a life of the server, on the same folder.
func (r *run) restart() {
	r.t.Helper()
	p, listens, err := servertest.Launch(r.life, r.args...)
	if err != nil {
		r.t.Fatal(err)
	}
	if !listens {
		r.t.Fatalf("wigwag serve ended with %d:\n%s", p.Code, p.Logs())
	}
	r.now = p
	r.proxy.Forward(p.Addr)
}

func (r *run) stopNow() {
	ctx, cancel := context.WithTimeout(r.life, time.Minute)
	defer cancel()
	if err := r.now.Stop(ctx); err != nil {
		r.t.Errorf("%v:\n%s", err, r.now.Logs())
	}
}

func (r *run) stop() { r.stopNow(); r.restart() }
func (r *run) kill() { r.now.Kill(); r.restart() }

// client is one whose first token is an old one.
func (r *run) client() *client.Client {
	tokens := 0
	return client.New(client.Options{Server: r.proxy.URL, Token: func(context.Context) (string, error) {
		if tokens++; tokens == 1 {
			return "expired", nil
		}
		return r.token, nil
	}})
}

// send has every sender send a portion of messages, one after another.
func (r *run) send() {
	var all sync.WaitGroup
	for i, c := range r.clients {
		all.Go(func() {
			for k := range portion {
				text := fmt.Sprintf("%d %d", i, r.sent/senders+k)
				if _, err := c.Send(r.ctx, client.Target{}, client.Draft{Text: text}); err != nil {
					r.t.Errorf("message %s: %v", text, err)
					return
				}
			}
		})
	}
	all.Wait()
	r.sent += portion * senders
}

// listen begins to listen, and returns once it does.
func (r *run) listen(types ...string) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	ended := make(chan struct{})
	c := r.client()
	go func() {
		defer close(ended)
		for ev, err := range c.Listen(ctx, client.ListenOptions{Types: types}) {
			if err != nil {
				r.t.Error(err)
			}
			r.heard.add(ev)
		}
	}()
	r.t.Cleanup(func() { cancel(); <-ended })
	r.heard.waitFor(r.ctx, r.t, func() bool { return len(r.heard.states) == 2 }, "the listener to be connected")
}

// check compares what was heard with what was sent and with what is stored, and
// the states with what they may be.
func (r *run) check() {
	r.t.Helper()
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	if n := len(r.heard.messages); n != r.sent {
		r.t.Errorf("%d messages were heard, %d were sent", n, r.sent)
	}
	next := make([]int, senders)
	for _, m := range r.heard.messages {
		var sender, n int
		if _, err := fmt.Sscan(m.Message, &sender, &n); err != nil || n != next[sender] {
			r.t.Fatalf("message %q (%s), %v; wanted is number %d", m.Message, m.ID, err, next[sender])
		}
		next[sender]++
	}
	stored := r.stored()
	if !slices.EqualFunc(r.heard.messages, stored, func(a, b client.Message) bool { return a.ID == b.ID && a.Message == b.Message && a.Time.Equal(b.Time) }) {
		r.t.Errorf("%d messages are stored, and they are not those that were heard", len(stored))
	}
	r.checkStates(r.heard.states)
}

// checkStates: it connects, and whenever it is not connected any more it tries
// again, and says which attempt it is.
func (r *run) checkStates(states []client.State) {
	r.t.Helper()
	attempt := 0
	for i, s := range states {
		switch {
		case i == 0 && s.State == client.Connecting:
		case i > 0 && s.State == client.Connected && states[i-1].State != client.Connected:
			attempt = 0
		case i > 1 && s.State == client.Reconnecting && s.Attempt == attempt+1 && s.RetryIn >= time.Second && s.RetryIn <= 30*time.Second:
			attempt++
		default:
			r.t.Errorf("state %d is %+v; before it is %+v", i, s, states[:i])
		}
	}
	if last := states[len(states)-1]; last.State != client.Connected {
		r.t.Errorf("at the end it is %s", last.State)
	}
}

// stored are all messages of the room.
func (r *run) stored() (all []client.Message) {
	r.t.Helper()
	after := "0"
	for {
		page, err := r.clients[0].History(r.ctx, client.Target{}, client.HistoryQuery{After: after, Limit: 100})
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, page.Messages...)
		if after = page.Next; !page.More {
			return all
		}
	}
}
