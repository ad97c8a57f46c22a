package client

import (
	"context"
	"errors"
	"net"
)

// bearer keeps the token that requests carry.
type bearer struct {
	fetch func(context.Context) (string, error)
	turn  chan struct{} // of capacity 1: who has put something in has token
	token string        // the one fetched last
}

// get returns the token, fetched anew if there is none or if it is the one that
// the server has refused.
func (b *bearer) get(ctx context.Context, refused string) (string, error) {
	if b.fetch == nil {
		return "", nil
	}
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-b.turn }()
	if b.token != refused {
		return b.token, nil
	}
	token, err := b.fetch(ctx)
	if _, network := errors.AsType[net.Error](err); network {
		return "", &lostError{err}
	}
	if err != nil {
		return "", err
	}
	b.token = token
	return token, nil
}
