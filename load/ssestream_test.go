package load

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"wigwag/transport/sse"
)

// sseStream is the one stream of an HTTP+SSE session. It tells the answers of
// the session's requests apart by their IDs.
type sseStream struct {
	ended chan struct{} // closed when nothing comes any more

	mu      sync.Mutex
	waiting map[string]chan envelope // guarded by mu; by request ID, which is the progress token, too
	strays  []envelope               // guarded by mu; what belongs to none of them
}

// openSSE opens the client's stream, closed with the test.
func (c *client) openSSE(t *testing.T) {
	t.Helper()
	req, err := c.getSSE(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		t.Fatalf("GET /sse: %s: %s", res.Status, drain(res))
	}
	events := sse.NewReader(res.Body, 64<<20)
	c.readEndpoint(t, events)
	c.stream = &sseStream{ended: make(chan struct{}), waiting: make(map[string]chan envelope)}
	go c.stream.read(t, events)
}

// getSSE makes the GET that opens an HTTP+SSE session.
func (c *client) getSSE(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/sse", http.NoBody)
	if err != nil {
		return nil, err
	}
	c.sign(req)
	return req, nil
}

// readEndpoint reads the stream's first event, which names the session.
func (c *client) readEndpoint(t *testing.T, events *sse.Reader) {
	t.Helper()
	first, err := events.Next()
	if err != nil || first.Name != "endpoint" {
		t.Fatalf("first event %q, %v", first.Name, err)
	}
	endpoint, err := url.Parse(string(first.Data))
	if err != nil {
		t.Fatal(err)
	}
	c.session = endpoint.Query().Get("sessionId")
}

// read ends with the stream, which ends with the test.
func (s *sseStream) read(t *testing.T, events *sse.Reader) {
	defer close(s.ended)
	for {
		e, err := nextMessage(events)
		if err != nil {
			return
		}
		key := e.Params.Token
		if e.Method == "" {
			key, err = strconv.Unquote(string(e.ID))
		}
		s.mu.Lock()
		to := s.waiting[key]
		if to == nil || err != nil {
			s.strays = append(s.strays, e)
			s.mu.Unlock()
			continue
		}
		if e.Method == "" {
			delete(s.waiting, key)
		}
		s.mu.Unlock()
		select {
		case to <- e:
		case <-t.Context().Done():
			return
		}
		if e.Method == "" {
			close(to)
		}
	}
}

// await must come before the request goes out.
func (s *sseStream) await(id string) <-chan envelope {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := make(chan envelope, 16) // a few, for tests that read one answer after the other
	s.waiting[id] = ch
	return ch
}

func (s *sseStream) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, id)
}

// unclaimed is what came for no request: it was late, or another's.
func (c *client) unclaimed() []envelope {
	if c.stream == nil {
		return nil
	}
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	return c.stream.strays
}
