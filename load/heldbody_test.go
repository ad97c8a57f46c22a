package load

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// One who sends many large bodies at once, and keeps each one's last byte, fills
// no more memory than the calls of one user may. Others are served meanwhile.
func TestHeldBodiesOfAUserAreLimited(t *testing.T) {
	t.Parallel()
	const limit, body = 512 << 20, 4 << 20
	p, mallory := startWigwagWith(t, "mallory", "--memory-limit", fmt.Sprint(limit))
	other := connect(t, newHTTP(t, "HTTP/1.1"), p, dialect{modern, false})

	var sending sync.WaitGroup
	const attackers = 200
	for range attackers {
		req, err := http.NewRequestWithContext(bounded(t), http.MethodPost, p.url+"/mcp", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+mallory)
		header := strings.Replace(whole(t, req, nil), "Content-Length: 0", fmt.Sprint("Content-Length: ", body), 1)
		conn := dialRaw(t, p)
		sending.Go(func() {
			_, _ = io.WriteString(conn, header) // that it is not taken is as well
			_, _ = io.WriteString(conn, strings.Repeat(" ", body-1))
		})
	}
	sending.Wait()
	settled(t, func() int { return p.memory(t, "VmRSS") >> 26 }) // what is taken has been, more or less
	other.isAlive(t)
	p.withinLimit(t, limit)
}
