package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// patience is how long an answer may take, and a server to start or to stop.
const patience = 30 * time.Second

// client sends the requests of a scenario over one connection, one after the
// other. Its session, where there is one, outlives the connection.
type client struct {
	scenario *scenario
	target   *started
	request  []byte // its own copy, in which the ID is written
	at       []int  // where
	next     int    // ID
	id       []byte // of the request that is sent, in digits

	conn net.Conn
	in   *bufio.Reader
	res  response
}

// tally is what came of the requests of one round.
type tally struct {
	requests  int
	arrived   int // units
	lost      int // units
	latencies []time.Duration
}

func (t *tally) add(u tally) {
	t.requests += u.requests
	t.arrived += u.arrived
	t.lost += u.lost
	t.latencies = append(t.latencies, u.latencies...)
}

// newClient opens a session, where the revision has them. nth tells its IDs from
// those of other clients.
func newClient(ctx context.Context, s *scenario, target *started, nth int) (*client, error) {
	const span = 1_000_000 // IDs may come again after so many
	c := &client{scenario: s, target: target, next: firstID + nth*span}
	session := ""
	if s.revision == legacy {
		if err := c.dial(ctx); err != nil {
			return nil, err
		}
		defer c.hangUp()
		if err := c.exchange(target.initialize(s.revision)); err != nil {
			return nil, fmt.Errorf("initialize: %w", err)
		}
		session = c.res.session
		if err := c.exchange(target.initialized(s.revision, session)); err != nil {
			return nil, fmt.Errorf("initialized: %w", err)
		}
	}
	c.request = s.request(target, session)
	c.at = marks(c.request)
	return c, nil
}

func (c *client) dial(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", c.target.addr)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 64<<10)
	return conn.SetDeadline(time.Now().Add(patience))
}

func (c *client) hangUp() { _ = c.conn.Close() }

// exchange sends a request and reads the answer, which must be a success.
func (c *client) exchange(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	if err := c.res.read(c.in); err != nil {
		return err
	}
	if c.res.status != 200 && c.res.status != 202 {
		return fmt.Errorf("HTTP status %d: %s", c.res.status, c.res.body)
	}
	return nil
}

// call sends one request and checks the answer.
func (c *client) call() (arrived, lost int, err error) {
	if c.next++; c.next > lastID {
		c.next = firstID
	}
	c.id = appendID(c.id[:0], c.next)
	for _, i := range c.at {
		copy(c.request[i:], c.id)
	}
	if err := c.exchange(c.request); err != nil {
		return 0, 0, err
	}
	return c.scenario.check(&c.res, c.id)
}

// run calls until the duration is over or most calls are made, on a connection
// that is already there.
func (c *client) run(duration time.Duration, most int) (tally, error) {
	var t tally
	start := time.Now()
	if err := c.conn.SetDeadline(start.Add(duration + patience)); err != nil {
		return t, err
	}
	for now := start; now.Sub(start) < duration && t.requests < most; {
		arrived, lost, err := c.call()
		if err != nil {
			return t, err
		}
		end := time.Now()
		t.requests++
		t.arrived += arrived
		t.lost += lost
		t.latencies = append(t.latencies, end.Sub(now))
		now = end
	}
	return t, nil
}

// load are the clients of one target.
type load []*client

func newLoad(ctx context.Context, s *scenario, target *started, connections int) (load, error) {
	var l load
	for i := range connections {
		c, err := newClient(ctx, s, target, i)
		if err != nil {
			return nil, err
		}
		l = append(l, c)
	}
	return l, nil
}

// round lets all clients call at once, each on a new connection and at most
// most times, and returns what they did and what it cost the server.
func (l load) round(ctx context.Context, duration time.Duration, most int) (t tally, cpu time.Duration, err error) {
	for _, c := range l {
		if err := c.dial(ctx); err != nil {
			return t, 0, err
		}
		defer c.hangUp()
	}
	// A bench that is told to end does not wait for its clients.
	defer context.AfterFunc(ctx, func() {
		for _, c := range l {
			c.hangUp()
		}
	})()
	target := l[0].target
	before, err := cpuTime(target.pid)
	if err != nil {
		return t, 0, err
	}
	type outcome struct {
		tally
		err error
	}
	outcomes := make(chan outcome, len(l))
	for _, c := range l {
		go func() {
			t, err := c.run(duration, most)
			outcomes <- outcome{t, err}
		}()
	}
	for range l {
		o := <-outcomes
		t.add(o.tally)
		err = errors.Join(err, o.err)
	}
	if err != nil {
		return t, 0, err
	}
	end, err := cpuTime(target.pid)
	slices.Sort(t.latencies)
	return t, end - before, err
}
