package api

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Why a stream ends before its text does.
var (
	errBrokeOff = errors.New("the body did not arrive in whole")
	errTooLong  = errors.New("the text is longer than 64 MiB")
	errTooLate  = errors.New("the stream has lasted for an hour")
	errExpired  = errors.New("the token has expired")
	errRevoked  = errors.New("the token has been revoked")
	errDraining = errors.New("the server is shutting down")
)

// reception reads a text that somebody sends, at the pace at which it can be
// passed on, so that nothing piles up.
type reception struct {
	body    io.Reader
	unblock func() // ends a read that waits, and every later one; any goroutine may call it
	relay   *relay
	revoked func() bool // whether the sender may not go on
	seen    func()      // told that the sender is here
	beat    time.Duration
	most    int // bytes of text
}

// chunk is how much of a body is read at a time.
const chunk = 16 << 10

// run passes everything on. It returns nil when the text is stored whole; else
// why it is not, which is the cause of the context if that has ended.
func (c *reception) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	read := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { c.watch(ctx, end, read) })
	err := c.pass(ctx)
	close(read)
	watcher.Wait()
	if err == nil {
		err = c.relay.finish(ctx)
	}
	return err
}

// pass passes on what is read, up to the end of the body.
func (c *reception) pass(ctx context.Context) error {
	var decoder decoder
	buf, arrived := make([]byte, chunk), 0
	for {
		n, err := c.body.Read(buf)
		text, isWhole := decoder.text(buf[:n]), errors.Is(err, io.EOF)
		if isWhole {
			text += decoder.rest()
		}
		arrived += len(text)
		switch {
		case c.revoked():
			return errRevoked
		case arrived > c.most:
			return errTooLong
		}
		if err := c.relay.add(ctx, text); err != nil {
			return err
		}
		switch {
		case isWhole:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return errBrokeOff
		}
	}
}

// watch gives signs of life for a sender that says nothing, until everything is
// read. When the context ends it sees to it that reading does.
func (c *reception) watch(ctx context.Context, end context.CancelCauseFunc, read <-chan struct{}) {
	beat := time.NewTicker(c.beat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if c.revoked() {
				end(errRevoked)
				continue
			}
			c.seen()
			c.relay.alive()
		case <-ctx.Done():
			c.unblock()
			return
		case <-read:
			return
		}
	}
}
