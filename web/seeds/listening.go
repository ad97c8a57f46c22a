package seeds

import (
	"context"
	"iter"

	"wigwag/hub"
)

// listening is a source of what a hub's listener gets.
type listening struct {
	listener *hub.Listener
	frame    func(hub.Event) []byte // empty: it is not for this stream
}

// Close implements web.Source.
func (l *listening) Close() { l.listener.Close() }

// Next implements web.Source.
func (l *listening) Next(ctx context.Context) (iter.Seq[[]byte], error) {
	events, err := l.listener.Next(ctx)
	if err != nil {
		return nil, err
	}
	return func(yield func([]byte) bool) {
		for _, ev := range events {
			if !yield(l.frame(ev)) {
				return
			}
		}
	}, nil
}
