package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wigwag/clients/servertest"
)

var (
	full  = flag.Bool("chaos.full", false, "a reconnect storm of 5,000, not 500")
	lasts = flag.Duration("chaos.for", 8*time.Second, "how long a run attacks")
	seed  = flag.Uint64("chaos.seed", 0, "seed of what is random; 0: another one each time")
)

// patience bounds what comes after the attacks. It only has to be longer than
// the slowest machine takes.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64() //nolint:gosec // no secret
	}
	os.Exit(servertest.Main(m))
}

var rooms = [...]string{"general", "engine-room"}

// theEnd is the last message of a run.
const theEnd = "the end"

// run is one server and its clients.
type run struct {
	t      *testing.T
	url    string        // where the clients go: the server, or a proxy in front of it
	faulty bool          // what stands between may be at fault, not the server
	steady bool          // no client leaves before it has to
	quiet  time.Duration // a call must have come to something by then
	hop    time.Duration // and one connection

	server *server
	stop   chan struct{} // closed when the attacks are over: no new messages
	ending atomic.Bool   // the last message has been sent
	count  counts

	mu      sync.Mutex
	history history   // guarded by mu
	bearer  string    // guarded by mu
	issued  time.Time // guarded by mu
}

// counts show that a run was one.
type counts struct {
	kills, stops     atomic.Int64 // of the server
	repeated         atomic.Int64 // tries of a message beyond the first
	doubled          atomic.Int64 // of those, acknowledged as duplicates
	resumed, fetched atomic.Int64 // answers that broke off; of those, got in the end
	reconnected      atomic.Int64 // streams
}

// newRun starts a server on a fresh folder.
func newRun(t *testing.T) *run {
	t.Helper()
	t.Logf("-chaos.seed=%d", *seed)
	r := &run{t: t, quiet: patience / 2, hop: patience / 2, stop: make(chan struct{})}
	r.server = newServer(r)
	r.url = r.server.url()
	return r
}

// behindProxy puts a proxy before the server that gets in the way of many
// connections until the attacks are over. It comes before the start.
func (r *run) behindProxy() {
	proxy := servertest.NewProxy(r.t, r.url, r.faults())
	proxy.Silence = 5 * time.Second
	r.url, r.faulty, r.hop = proxy.URL, true, 3*time.Second
	r.server.args = append(r.server.args, "--allowed-host", proxy.Addr())
}

// faults draws what a proxy does to a connection.
func (r *run) faults() func(int) servertest.Fault {
	random := r.random("proxy")
	return func(int) servertest.Fault {
		fault := servertest.Fault{After: random.IntN(6000)}
		delay := time.Duration(1+random.IntN(30)) * time.Millisecond
		switch dice := random.IntN(100); {
		case r.over(), dice < 45:
		case dice < 60:
			fault.Delay = delay
		case dice < 75:
			fault.Then = servertest.Reset
		case dice < 85:
			fault.Then = servertest.HalfOpen
		default:
			fault.Then = servertest.Unavailable
		}
		return fault
	}
}

// random is what the named one draws from.
func (r *run) random(name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.t.Name() + name))      // never fails
	return rand.New(rand.NewPCG(*seed, h.Sum64())) //nolint:gosec // tests draw the same again
}

// over tells that the attacks are over.
func (r *run) over() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// token is a bearer token of the user admin, which is renewed in time.
func (r *run) token(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.bearer == "" || time.Since(r.issued) > 20*time.Minute {
		var answer struct{ Token string }
		err := r.login(ctx, &answer)
		if err == nil && answer.Token != "" {
			r.bearer, r.issued = answer.Token, time.Now()
			break
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("logging in: %w", errors.Join(err, ctx.Err()))
		}
		wait(ctx, 50*time.Millisecond)
	}
	return r.bearer, nil
}

func (r *run) login(ctx context.Context, answer any) error {
	body := strings.NewReader(fmt.Sprintf(`{"username":"admin","password":%q}`, servertest.Password))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.server.url()+"/api/login", body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(res.Body).Decode(answer)
}

// record adds to the history.
func (r *run) record(add func(h *history)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.history)
}

func (r *run) complain(format string, args ...any) {
	r.record(func(h *history) {
		if len(h.complaint) < 100 {
			h.complaint = append(h.complaint, fmt.Sprintf(format, args...))
		}
	})
}

// gone notes that a session was not found.
func (r *run) gone(c *client, answer string) {
	r.record(func(h *history) {
		for i := range h.sessions {
			if h.sessions[i].name == c.name && h.sessions[i].gone == "" {
				h.sessions[i].gone = answer
			}
		}
	})
}

// check is the end: what the server holds goes into the history, and that must
// be free of violations.
func (r *run) check(ctx context.Context) {
	r.t.Helper()
	reader := r.client("reader", modern)
	for _, room := range rooms {
		page, err := reader.read(ctx, room)
		if err != nil {
			r.t.Fatal(err)
		}
		r.record(func(h *history) { h.stored = append(h.stored, page...) })
	}
	n := &r.count
	r.t.Logf("%d messages, %d kills, %d stops, %d tries repeated (%d had been stored), %d calls resumed (%d of them answered), %d streams reconnected",
		len(r.history.stored), n.kills.Load(), n.stops.Load(), n.repeated.Load(), n.doubled.Load(), n.resumed.Load(), n.fetched.Load(), n.reconnected.Load())
	const most = 30
	found := r.history.violations()
	for _, v := range found[:min(most, len(found))] {
		r.t.Error(v)
	}
	if len(found) > most {
		r.t.Errorf("and %d more", len(found)-most)
	}
}

// read reads a room from its beginning, page by page.
func (c *client) read(ctx context.Context, room string) (all []message, err error) {
	for after := "0"; ; {
		var page struct {
			Messages []message
			Next     string
			More     bool
		}
		got := c.tool(ctx, "read_messages", object{"room": room, "after": after, "limit": 100, "max_chars": 100_000}, 0, &page)
		switch {
		case got.outcome == lost && ctx.Err() == nil:
			continue
		case got.outcome != answered:
			return all, fmt.Errorf("read_messages of %s after %s: %s: %s", room, after, got.outcome, got.detail)
		}
		all = append(all, page.Messages...)
		if !page.More {
			return all, nil
		}
		if len(page.Messages) == 0 || page.Next == after {
			return all, fmt.Errorf("read_messages of %s does not get on after %s", room, after)
		}
		after = page.Next
	}
}

// server is the program on one address and one folder, over its many lives.
type server struct {
	run  *run
	addr string
	args []string

	mu  sync.Mutex
	now *servertest.Process // guarded by mu
}

// newServer is one that is yet to start. Its port is none that the system would
// give to a connection: else a client might take it while the server is down.
func newServer(r *run) *server {
	r.t.Helper()
	addr := freeAddr(r)
	return &server{run: r, addr: addr, args: []string{
		"--addr", addr, "--data", r.t.TempDir(), "--drain-timeout", "2s", "--max-calls-per-user", "1000",
	}}
}

// freeAddr finds a port below those that Linux, and most others, give to
// connections.
func freeAddr(r *run) string {
	r.t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)) //nolint:gosec // no secret
		listener, err := new(net.ListenConfig).Listen(r.t.Context(), "tcp", addr)
		if err != nil {
			continue
		}
		_ = listener.Close()
		return addr
	}
	r.t.Fatal("there is no free port")
	return ""
}

func (s *server) url() string { return "http://" + s.addr }

// start begins another life.
func (s *server) start() {
	s.run.t.Helper()
	p, listens, err := servertest.Launch(s.run.t.Context(), append([]string{"--call-rate=0", "--send-rate=0"}, s.args...)...)
	if err != nil {
		s.run.t.Fatal(err)
	}
	if !listens {
		s.run.t.Fatalf("wigwag serve ended with %d:\n%s", p.Code, p.Logs())
	}
	s.mu.Lock()
	s.now = p
	s.mu.Unlock()
}

// startOnce begins the first life, and ends the last one with the test.
func (s *server) startOnce() {
	s.run.t.Helper()
	s.start()
	s.run.t.Cleanup(func() {
		s.now.Kill()
		if s.run.t.Failed() {
			s.run.t.Logf("log of the last wigwag serve:\n%s", s.now.Logs())
		}
	})
}

// process is the current life.
func (s *server) process() *servertest.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// kill ends the current life as kill -9 does.
func (s *server) kill() {
	s.run.count.kills.Add(1)
	s.process().Kill()
}

// drain ends it by SIGTERM, which must go well.
func (s *server) drain() {
	s.run.count.stops.Add(1)
	ctx, cancel := context.WithTimeout(s.run.t.Context(), patience)
	defer cancel()
	p := s.process()
	if err := p.Stop(ctx); err != nil {
		s.run.complain("%v:\n%s", err, p.Logs())
	}
}

// attack kills, stops and restarts the server until the time is over.
func (s *server) attack() {
	random := s.run.random("attack")
	end := time.After(*lasts)
	for life := 0; ; life++ {
		timer := time.NewTimer(time.Duration(300+random.IntN(2200)) * time.Millisecond)
		select {
		case <-end:
			timer.Stop()
			return
		case <-timer.C:
		}
		switch dice := random.IntN(10); {
		case dice < 5 && life > 1, life == 0: // so that a short run has both
			s.kill()
		case dice < 9, life == 1:
			s.drain()
		default: // an operator who does not wait
			s.process().Signal(sigterm)
			wait(s.run.t.Context(), time.Duration(random.IntN(500))*time.Millisecond)
			s.kill()
		}
		if random.IntN(2) == 0 {
			wait(s.run.t.Context(), time.Duration(random.IntN(400))*time.Millisecond)
		}
		s.start()
	}
}
