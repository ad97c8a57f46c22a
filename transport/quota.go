package transport

import (
	"context"
	"fmt"
	"net/http"
	"sync"
)

// quota counts what users hold: listening streams and running calls.
type quota struct {
	limits     Limits
	overloaded func() bool

	mu      sync.Mutex
	streams int
	calls   int
	users   map[string]*usage // only users that hold something
}

type usage struct{ streams, calls, bodies int }

// stream counts a listening stream, or says why there may not be one more.
func (q *quota) stream(user string) (release func(), err error) {
	if q.overloaded() {
		return nil, overloaded()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.userLocked(user)
	switch limit := q.limits.MaxStreamsPerUser; {
	case q.streams >= q.limits.MaxStreams:
		q.tidyLocked(user)
		return nil, busy(RefusedStreams, fmt.Sprintf("all %d streams of this server are in use", q.streams))
	case limit >= 0 && u.streams >= limit:
		q.tidyLocked(user)
		return nil, tooMany(RefusedStreams, fmt.Sprintf("you have %d streams open, which is the limit; close one first", limit))
	}
	q.streams++
	u.streams++
	return sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.streams--
		u.streams--
		q.tidyLocked(user)
	}), nil
}

// call counts a running call, or says why there may not be one more.
func (q *quota) call(user string) (release func(), err error) {
	if q.overloaded() {
		return nil, overloaded()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.userLocked(user)
	switch limit := q.limits.MaxCallsPerUser; {
	case q.calls >= q.limits.MaxStreams:
		q.tidyLocked(user)
		return nil, busy(RefusedCalls, fmt.Sprintf("%d calls are running, which is the limit of this server", q.calls))
	case limit >= 0 && u.calls >= limit:
		q.tidyLocked(user)
		return nil, tooMany(RefusedCalls, fmt.Sprintf("you have %d calls running, which is the limit; wait for one to end", limit))
	}
	q.calls++
	u.calls++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.calls--
		u.calls--
		q.tidyLocked(user)
	}, nil
}

// body counts a large body that is being read. Calls that run do not count: they
// may wait for what the body says.
func (q *quota) body(user string) (release func(), err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.userLocked(user)
	if limit := q.limits.MaxCallsPerUser; limit >= 0 && u.bodies >= limit {
		return nil, tooMany(RefusedBody, fmt.Sprintf("%d large bodies of yours are on their way, which is the limit; wait until one has arrived", limit))
	}
	u.bodies++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		u.bodies--
		q.tidyLocked(user)
	}, nil
}

func (q *quota) userLocked(user string) *usage {
	u := q.users[user]
	if u == nil {
		if q.users == nil {
			q.users = make(map[string]*usage)
		}
		u = &usage{}
		q.users[user] = u
	}
	return u
}

func (q *quota) tidyLocked(user string) {
	if u := q.users[user]; u != nil && *u == (usage{}) {
		delete(q.users, user)
	}
}

// calls are those that run, so that Shutdown can wait for them and cut off what
// is left. A WaitGroup would not do: calls may begin while Shutdown begins to
// wait.
type calls struct {
	mu      sync.Mutex
	running map[*call]struct{}
	closed  bool
	idle    chan struct{} // closed when the last call ends after close
}

// begin enters a call; it fails once close was called.
func (c *calls) begin(one *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.running == nil {
		c.running = make(map[*call]struct{})
	}
	c.running[one] = struct{}{}
	return true
}

func (c *calls) end(one *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.running, one); len(c.running) == 0 && c.closed {
		close(c.idle)
	}
}

// cancel ends those that still run and match.
func (c *calls) cancel(cause error, match func(*call) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for one := range c.running {
		if match(one) {
			one.cancel(cause)
		}
	}
}

// close lets no call begin any more, and closes announce the first time.
func (c *calls) close(announce chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed, c.idle = true, make(chan struct{})
	if len(c.running) == 0 {
		close(c.idle)
	}
	close(announce)
}

func (c *calls) wait(ctx context.Context) error {
	c.mu.Lock()
	idle := c.idle
	c.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// listening are the connections of GET /mcp and GET /sse.
type listening struct {
	mu    sync.Mutex
	conns map[context.Context]context.CancelFunc
}

// add enters a request until done is called; its context ends with end.
func (l *listening) add(r *http.Request) (_ *http.Request, done func()) {
	ctx, cancel := context.WithCancel(r.Context())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = make(map[context.Context]context.CancelFunc)
	}
	l.conns[ctx] = cancel
	return r.WithContext(ctx), func() {
		cancel()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, ctx)
	}
}

// end ends the connections that match.
func (l *listening) end(match func(context.Context) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ctx, cancel := range l.conns {
		if match(ctx) {
			cancel()
		}
	}
}
