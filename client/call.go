package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

// call is a request that may be made again: it changes nothing, or its key lets
// it do so only once.
type call struct {
	method string
	path   string // with the query
	in     any    // the body, as JSON; nil: none
	key    string // Idempotency-Key; empty: none
}

// do makes a call until there is an answer, and takes that into out, unless that
// is nil.
func (c *Client) do(ctx context.Context, call call, out any) error {
	return c.again(ctx, func() error { return c.attempt(ctx, call, out) })
}

// again repeats what fails by what may pass. When ctx ends before that, the
// error says what it was.
func (c *Client) again(ctx context.Context, attempt func() error) error {
	var last error
	for n := 0; ; n++ {
		err := attempt()
		if err == nil || !passing(err) {
			return err
		}
		if ctx.Err() == nil {
			last = err
			c.retrying(err)
			if wait(ctx, backOff(n, asked(err))) == nil {
				continue
			}
		}
		if last == nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w (%w)", context.Cause(ctx), last)
	}
}

// attempt makes a call once.
func (c *Client) attempt(ctx context.Context, call call, out any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, errNoAnswer)
	defer cancel()
	res, err := c.open(ctx, func() (*http.Request, error) { return c.request(ctx, call) })
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil {
		return nil
	}
	return take(ctx, res, out)
}

// take reads an answer.
func take(ctx context.Context, res *http.Response, out any) error {
	if typ := mediaType(res); !isJSON(typ) {
		return foreign(res, "the answer is of the type %q, not JSON", clip(typ))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return asBroken(cause(ctx, err))
	case len(body) > maxAnswer:
		return foreign(res, "the answer has more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return foreign(res, "the answer is not the JSON that belongs there: %v", err)
	}
	return nil
}

// errNoAnswer is why an attempt is given up.
var errNoAnswer = errors.New("it took too long")

// cause is err, or why ctx has ended if that is behind it.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	var body io.Reader
	if call.in != nil {
		encoded, err := json.Marshal(call.in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, call.method, c.server+call.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if call.key != "" {
		req.Header.Set("Idempotency-Key", call.key)
	}
	return req, nil
}

// open makes a request, once more with another token if the first is refused,
// and returns a successful answer. Its body is the caller's to close.
func (c *Client) open(ctx context.Context, build func() (*http.Request, error)) (*http.Response, error) {
	if c.wrong != nil {
		return nil, c.wrong
	}
	token, err := c.bearer.get(ctx, "")
	if err != nil {
		return nil, err
	}
	res, err := c.send(ctx, build, token)
	if refused, ok := errors.AsType[*Error](err); !ok || refused.Status != http.StatusUnauthorized || token == "" {
		return res, err
	}
	if token, err = c.bearer.get(ctx, token); err != nil {
		return nil, err
	}
	return c.send(ctx, build, token)
}

func (c *Client) send(ctx context.Context, build func() (*http.Request, error), token string) (*http.Response, error) {
	req, err := build()
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, asLost(cause(ctx, err))
	}
	if res.StatusCode/100 != 2 {
		return nil, errorOf(res)
	}
	return res, nil
}

// Bounds of the waits between attempts.
const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// backOff is how long to wait after the nth failure in a row, from 0: at random
// up to a bound that doubles, so that clients that failed together do not come
// back together, and at least what was asked for.
func backOff(n int, least time.Duration) time.Duration {
	bound := longestWait
	if n < 5 {
		bound = firstWait << n
	}
	return max(rand.N(bound), least) //nolint:gosec // not a secret
}

// asked is how long an answer asks to wait.
func asked(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// wait returns nil after d, or before that why ctx ended.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
