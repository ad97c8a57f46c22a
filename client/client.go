// Package client talks to a wigwag server as programs do: it sends messages so
// that each is stored once, and listens so that nothing is missed, over
// connections that break.
//
// What can be mended by waiting is tried again until the context ends: give it a
// deadline where nobody watches. What cannot is an [*Error] at once.
//
//	c := client.New(client.Options{Server: "https://chat.example.com", Token: token})
//	m, err := c.Send(ctx, client.Target{Room: "general"}, client.Draft{Text: "The build is green."})
//
//	for event, err := range c.Listen(ctx, client.ListenOptions{}) {
//		switch {
//		case err != nil: // signed out, or the like
//		case event.Message != nil: // each one once, in order
//		}
//	}
package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of what is waited for and of what is taken in.
const (
	// answerWithin bounds one attempt at a call, and of a stream what the
	// server takes to take a part.
	answerWithin = 30 * time.Second
	maxAnswer    = 16 << 20 // bytes of an answer
	maxPages     = 1_000    // of a list that is read whole
)

// Options say which server to talk to and as whom.
type Options struct {
	// Server is the server's origin: https://chat.example.com.
	Server string
	// Token returns a bearer token that is good now. It is called before the
	// first request, and once more after every answer 401, one call at a time;
	// what it returned is used until then. Nil: no token is sent. An error of it
	// ends the call, unless it is a [net.Error] or an [*Error] that can be
	// mended by waiting.
	Token func(context.Context) (string, error)
	// HTTP makes the requests; nil: a client with timeouts of its own. Its
	// Timeout and CheckRedirect are not used: streams have no end, and no
	// redirect is followed with the token. With it, [Client.Stream] notices a
	// connection that has broken when the text goes on.
	HTTP *http.Client
	// Retrying is told what a call failed with, each time before it is tried
	// again. Nil: nobody is told.
	Retrying func(error)
}

// Client talks to one server. Its methods are safe for concurrent use.
type Client struct {
	server string // its origin
	wrong  error  // with the origin
	http   *http.Client
	bearer bearer

	retrying func(error)
}

// New returns a client. It talks to nobody yet: whether the server is there, the
// first call shows.
func New(o Options) *Client {
	c := &Client{server: strings.TrimSuffix(o.Server, "/"), bearer: bearer{fetch: o.Token, turn: make(chan struct{}, 1)}}
	u, err := url.Parse(c.server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || c.server != u.Scheme+"://"+u.Host {
		c.wrong = fmt.Errorf("the server %q is not of the form https://host or https://host:port", o.Server)
	}
	given := http.Client{Transport: newTransport((&net.Dialer{Timeout: dialWithin}).DialContext)}
	if o.HTTP != nil {
		given = *o.HTTP
	}
	given.Timeout = 0
	given.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &given
	if c.retrying = o.Retrying; c.retrying == nil {
		c.retrying = func(error) {}
	}
	return c
}

// Target is where a message goes: a room, or the direct room with the user To.
// With neither it is the room general.
type Target struct {
	Room string // its name; of a direct room dm/alice/bob
	To   string
}

// path is that of the target's resources.
func (t Target) path() (string, error) {
	switch {
	case t.Room != "" && t.To != "":
		return "", fmt.Errorf("both the room %q and the user %q are given; give one of them", t.Room, t.To)
	case t.To != "":
		return named("/api/people/", t.To)
	case t.Room != "":
		return named("/api/rooms/", t.Room)
	}
	return "/api/rooms/general", nil
}

// named puts a name into a path. One with a dot is no name; in a path it might
// mean another.
func named(prefix, name string) (string, error) {
	if strings.Contains(name, ".") {
		return "", fmt.Errorf("%q is not a name", name)
	}
	return prefix + url.PathEscape(name), nil
}
