package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"wigwag/client"
	"wigwag/terminal"
)

// chat is a chat on a terminal: all that happens is brought to one goroutine,
// which alone touches the model and the screen.
type chat struct {
	talk    *chatting
	client  *client.Client
	server  string
	out     *os.File
	updates chan func() // run by loop

	// All below is loop's.
	model    chatModel
	screen   *terminal.Screen
	shown    terminal.Frame // the last one
	openings int            // how often a room was gone to
	silence  func()         // ends listening to the room before
	outbox   chan outgoing  // what sender is to send
	left     bool           // the end
	leaving  bool           // the end, once all is sent
	err      error          // why it ended
}

// outgoing is a message on its way.
type outgoing struct{ room, text string }

// onTerminal runs a chat.
func (t *chatting) onTerminal(ctx context.Context, in, out *os.File) error {
	t.notes = nil // the screen tells
	c, server, err := t.dial()
	if err != nil {
		return err
	}
	restore, err := terminal.Raw(in, out)
	if err != nil {
		return err
	}
	defer func() { _ = restore() }() // nothing else can be done
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	chat := &chat{
		talk: t, client: c, server: server, out: out, updates: make(chan func()), outbox: make(chan outgoing, maxUnsent),
		screen: terminal.NewScreen(out), silence: func() {},
		model: chatModel{style: lineStyle{colour: colours(t.color, t.env, out), zone: time.Local}},
	}
	go chat.read(ctx, in)
	go chat.send(ctx)
	return chat.loop(ctx)
}

// loop runs until the user leaves or ctx ends.
func (c *chat) loop(ctx context.Context) error {
	c.goTo(ctx, c.talk.target)
	tick := time.NewTicker(time.Second) // seconds are counted down, and the terminal may have another size
	defer tick.Stop()
	for !c.left && ctx.Err() == nil {
		if err := c.draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case update := <-c.updates:
			update()
			c.more()
		}
	}
	c.silence()
	if c.err == nil && c.model.unsent > 0 {
		c.err = fmt.Errorf("%d of your messages may not have been sent", c.model.unsent)
	}
	columns, _ := terminal.Size(c.out)
	if err := c.screen.Draw(terminal.Frame{Above: c.model.above}, columns); err != nil {
		return err
	}
	return c.err
}

// more runs what else has happened, so that a flood is few frames.
func (c *chat) more() {
	for range 100 {
		select {
		case update := <-c.updates:
			update()
		default:
			return
		}
	}
}

// draw shows the next frame, where there is something new in it.
func (c *chat) draw() error {
	columns, rows := terminal.Size(c.out)
	resized := columns != c.model.columns
	c.model.columns, c.model.rows = columns, rows
	f := c.model.frame(time.Now())
	if !resized && len(f.Above) == 0 && f.Row == c.shown.Row && f.Column == c.shown.Column && slices.Equal(f.Live, c.shown.Live) {
		return nil
	}
	c.shown = f
	return c.screen.Draw(f, columns)
}

// post lets loop run something.
func (c *chat) post(ctx context.Context, update func()) {
	select {
	case c.updates <- update:
	case <-ctx.Done():
	}
}

// read hands over what is typed. It ends with the terminal, or else with the
// process: a read cannot be broken off.
func (c *chat) read(ctx context.Context, in *os.File) {
	keys := terminal.NewKeys(in)
	for {
		key, err := keys.Next()
		if err != nil {
			c.post(ctx, func() { c.left = true })
			return
		}
		c.post(ctx, func() { c.act(ctx, c.model.press(key)) })
	}
}

// act does what was typed.
func (c *chat) act(ctx context.Context, a chatAction) {
	switch a.kind {
	case sendText:
		c.outbox <- outgoing{c.model.room, a.arg} // it has room: the model counts
	case goToRoom:
		c.goTo(ctx, client.Target{Room: a.arg})
	case goToUser:
		c.goTo(ctx, client.Target{To: a.arg})
	case leave:
		c.leaving = true
		c.left = c.model.unsent == 0
	case leaveNow:
		c.left = true
	}
}

// send sends one message after the other, until ctx ends.
func (c *chat) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-c.outbox:
			_, err := c.client.Send(ctx, client.Target{Room: o.room}, client.Draft{Text: o.text})
			err = explain(ctx, c.server, err)
			c.post(ctx, func() {
				c.model.sent(o.text, err)
				if c.leaving {
					c.left, c.err = c.left || c.model.unsent == 0, cmp.Or(c.err, err)
				}
			})
		}
	}
}

// goTo goes to a room, and stays in the one before until that has worked.
func (c *chat) goTo(ctx context.Context, to client.Target) {
	c.openings++
	opening := c.openings
	go func() { // ends within --timeout, or with ctx
		room, last, err := c.talk.openWithin(ctx, c.client, to)
		c.post(ctx, func() {
			switch {
			case opening != c.openings: // another was gone to since
			case err != nil && c.model.room == "":
				c.left, c.err = true, explain(ctx, c.server, err)
			case err != nil:
				c.model.notOpened(explain(ctx, c.server, err))
			default:
				c.model.opened(room, last.Messages, time.Now())
				c.silence()
				var listening context.Context
				listening, c.silence = context.WithCancel(ctx)
				go c.listen(listening, room, last.Next)
			}
		})
	}()
}

// listen hands over what happens in a room, until ctx ends.
func (c *chat) listen(ctx context.Context, room, after string) {
	o := client.ListenOptions{Rooms: []string{room}, Types: []string{"message", "partial-message", "notification"}, After: after}
	for ev, err := range c.client.Listen(ctx, o) {
		if err != nil {
			return // the state before told it
		}
		c.post(ctx, func() {
			if ctx.Err() == nil { // still in this room
				c.model.event(ev, time.Now())
			}
		})
	}
}
