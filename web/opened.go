package web

import (
	"context"
	"sync"
)

// opened are the streams that are open, each by the context of its request.
type opened struct {
	mu  sync.Mutex // guards all
	all map[*openStream]struct{}
}

type openStream struct {
	ctx context.Context //nolint:containedctx // to be asked about
	end context.CancelCauseFunc
}

// add returns a context that ends when the stream is ended.
func (o *opened) add(ctx context.Context) (_ context.Context, remove func()) {
	one := &openStream{}
	one.ctx, one.end = context.WithCancelCause(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = map[*openStream]struct{}{}
	}
	o.all[one] = struct{}{}
	return one.ctx, func() {
		one.end(nil)
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.all, one)
	}
}

// endAll ends the streams of those that match. Who comes back is refused.
func (o *opened) endAll(match func(context.Context) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for one := range o.all {
		if match(one.ctx) {
			one.end(errLifetime)
		}
	}
}
