package load

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// hugeBody is 300 MiB of white space. It tells how much of it was taken, once
// it has been closed.
type hugeBody struct {
	taken  atomic.Int64
	closed chan struct{}
	once   sync.Once
}

const huge = 300 << 20

func newHugeBody() *hugeBody { return &hugeBody{closed: make(chan struct{})} }

func (b *hugeBody) Read(p []byte) (int, error) {
	left := huge - b.taken.Load()
	if left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), left)]
	for i := range p {
		p[i] = ' '
	}
	b.taken.Add(int64(len(p)))
	return len(p), nil
}

func (b *hugeBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// socketBuffers is what two ends of a connection may hold between them, on top
// of what was read: the kernel's largest buffers, and those of net/http.
func socketBuffers(t *testing.T) int64 {
	t.Helper()
	total := int64(2 << 20)
	kernel := os.DirFS("/proc/sys/net/ipv4")
	for _, name := range []string{"tcp_rmem", "tcp_wmem"} {
		sizes, err := fs.ReadFile(kernel, name)
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(sizes))
		largest, err := strconv.ParseInt(fields[len(fields)-1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		total += largest
	}
	if total > huge/2 {
		t.Fatalf("the kernel may buffer %d MiB: a body of %d MiB shows nothing here", total>>20, huge>>20)
	}
	return total
}

// A body far beyond what is allowed is refused without being read: at once if
// it declares its length, else when it reaches the limit. Whoever is not let in
// is refused before that.
func TestHugeBodiesAreRefusedUnread(t *testing.T) {
	t.Parallel()
	const maxBody = 4 << 20
	p := startWigwag(t)
	buffers := socketBuffers(t)
	peak := p.memory(t, "VmHWM")
	tests := []struct {
		path   string
		token  string
		status int
		limit  int64 // of what is read of a body that does not declare its length
	}{
		{"/mcp", p.token, http.StatusRequestEntityTooLarge, maxBody},
		{"/messages", p.token, http.StatusRequestEntityTooLarge, maxBody},
		{"/api/login", "", http.StatusRequestEntityTooLarge, 16 << 10},
		{"/mcp", "", http.StatusUnauthorized, 0},
		{"/nothing-here", "", http.StatusNotFound, 0},
	}
	var all sync.WaitGroup
	uploads := 0
	for _, protocol := range protocols() {
		hc := newHTTP(t, protocol)
		c := connect(t, hc, p, dialect{oldest, true})
		for _, tt := range tests {
			for _, length := range []int64{huge, -1} {
				uploads++
				all.Go(func() {
					bound := buffers
					if length < 0 {
						bound += tt.limit
					}
					status, taken, err := c.upload(bounded(t), tt.path, tt.token, length)
					if err != nil || status != tt.status || taken > bound {
						t.Errorf("%s %s, length %d, token %t: status %d, %d MiB taken, %v; want %d and at most %d MiB",
							protocol, tt.path, length, tt.token != "", status, taken>>20, err, tt.status, bound>>20)
					}
				})
			}
		}
	}
	all.Wait()
	// A buffer that grows to hold the limit is at most twice as large, and is
	// copied from one that was half of it.
	if used, bound := p.memory(t, "VmHWM")-peak, resident(uploads*3*maxBody); used > bound {
		t.Errorf("%d bodies took %d MiB at their peak, want at most %d", uploads, used>>20, bound>>20)
	}
	c := connect(t, newHTTP(t, "HTTP/1.1"), p, dialect{modern, false})
	if _, err := c.do(bounded(t), "after", "tools/list", nil); err != nil {
		t.Error(err)
	}
}

// upload sends a huge body and returns the answer's status and how much of the
// body was taken.
func (c *client) upload(ctx context.Context, path, token string, length int64) (status int, taken int64, err error) {
	body := newHugeBody()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path+"?sessionId="+c.session, body)
	if err != nil {
		return 0, 0, err
	}
	req.ContentLength = length
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, body.taken.Load(), err
	}
	drain(res)
	<-body.closed // net/http closes it when it writes no more
	return res.StatusCode, body.taken.Load(), nil
}

// A body that is refused costs an HTTP/2 connection nothing: others may share
// it.
func TestRefusedBodiesLeaveTheConnection(t *testing.T) {
	t.Parallel()
	p := startWigwag(t)
	hc, connections := newHTTP2(t, p)
	c := connect(t, hc, p, dialect{modern, false})
	for range size(3, 30) {
		for _, length := range []int64{huge, -1} {
			status, _, err := c.upload(bounded(t), "/mcp", p.token, length)
			if err != nil || status != http.StatusRequestEntityTooLarge {
				t.Fatalf("status %d, %v", status, err)
			}
			c.isAlive(t)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections were made, want 1", n)
	}
}
