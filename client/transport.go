package client

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// dialWithin bounds making a connection, and securing it.
const dialWithin = 10 * time.Second

// newTransport notices a server that has vanished: by TCP, and over HTTP/2,
// where connections are shared, by pings.
func newTransport(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &watchedConn{Conn: conn, gone: make(chan struct{})}, nil
		},
		TLSHandshakeTimeout:   dialWithin,
		ResponseHeaderTimeout: answerWithin,
		ExpectContinueTimeout: 2 * time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   8,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}

// watchedConn is a connection whose end can be waited for.
type watchedConn struct {
	net.Conn
	gone chan struct{} // closed when it is
	once sync.Once
}

func (c *watchedConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}
