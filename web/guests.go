package web

import (
	"context"
	"sync"
)

// guests are the streams that are open, each by the context of its request.
type guests struct {
	mu  sync.Mutex // guards all
	all map[*guest]struct{}
}

type guest struct {
	ctx context.Context //nolint:containedctx // to be asked about
	end context.CancelCauseFunc
}

// enter returns a context that ends when the guest is sent off.
func (g *guests) enter(ctx context.Context) (_ context.Context, leave func()) {
	one := &guest{}
	one.ctx, one.end = context.WithCancelCause(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all == nil {
		g.all = map[*guest]struct{}{}
	}
	g.all[one] = struct{}{}
	return one.ctx, func() {
		one.end(nil)
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.all, one)
	}
}

// sendOff ends the streams of those that match. Who comes back is refused.
func (g *guests) sendOff(match func(context.Context) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for one := range g.all {
		if match(one.ctx) {
			one.end(errLifetime)
		}
	}
}
