package hub

import "sync"

// Change tells the server itself (not an actor) that a room got a message, or
// that a room came to be or changed who may see it.
type Change struct {
	Room string
	New  bool
}

// changes hands changes to those who registered, in order, by a goroutine of
// its own, so that they may call the hub.
type changes struct {
	wake chan struct{} // holds a token when queue may have grown
	done chan struct{} // closed at the end

	mu    sync.Mutex
	fns   []func(Change)
	queue []Change            // not handed out yet; no two are equal, so that it is bounded by the rooms
	in    map[Change]struct{} // what is in queue
}

func newChanges() *changes {
	return &changes{wake: make(chan struct{}, 1), done: make(chan struct{}), in: map[Change]struct{}{}}
}

func (c *changes) register(fn func(Change)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fns = append(c.fns, fn)
}

func (c *changes) tell(ch Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.in[ch]; ok || len(c.fns) == 0 {
		return
	}
	c.in[ch] = struct{}{}
	c.queue = append(c.queue, ch)
	signal(c.wake)
}

// run hands out changes until close.
func (c *changes) run() {
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		c.mu.Lock()
		queue, fns := c.queue, c.fns
		c.queue = nil
		clear(c.in)
		c.mu.Unlock()
		for _, ch := range queue {
			for _, fn := range fns {
				fn(ch)
			}
		}
	}
}

func (c *changes) close() { close(c.done) }
