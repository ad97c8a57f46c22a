package load

import (
	"fmt"
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
					name := fmt.Sprintf("%s %s, length %d, token %t", protocol, tt.path, length, tt.token != "")
					body := newHugeBody()
					req, err := http.NewRequestWithContext(bounded(t), http.MethodPost, p.url+tt.path+"?sessionId="+c.session, body)
					if err != nil {
						t.Error(err)
						return
					}
					req.ContentLength = length
					req.Header.Set("Content-Type", "application/json")
					if tt.token != "" {
						req.Header.Set("Authorization", "Bearer "+tt.token)
					}
					res, err := hc.Do(req)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					if text := drain(res); res.StatusCode != tt.status {
						t.Errorf("%s: %s %s, want %d", name, res.Status, text, tt.status)
					}
					<-body.closed // net/http closes it when it writes no more
					bound := buffers
					if length < 0 {
						bound += tt.limit
					}
					if taken := body.taken.Load(); taken > bound {
						t.Errorf("%s: %d MiB were taken, want at most %d", name, taken>>20, bound>>20)
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
