package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wigwag/clients/servertest"
)

// actAs makes this test program play the other programs: the server and Node with the suite.
const actAs = "CONFORMANCE_TEST_ACT"

func TestMain(m *testing.M) {
	if os.Getenv(actAs) == "" {
		os.Exit(m.Run())
	}
	how := os.Getenv(actAs)
	switch {
	case os.Args[1] == "--addr":
		os.Exit(actAsServer(how))
	case os.Args[1] == "serve":
		os.Exit(actAsWigwag(how))
	case os.Args[2] == "authorization":
		os.Exit(actAsAuthorizationSuite(os.Args[3:]))
	default:
		os.Exit(actAsSuite(os.Args[2:]))
	}
}

// The server that is silent ends at once; the one that fails does so when it is told to stop.
func actAsServer(how string) (code int) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	if how == "silent server" {
		return 1
	}
	fmt.Fprintln(os.Stdout, "http://server/mcp")
	<-interrupted
	if how == "failing server" {
		return 7
	}
	return 0
}

func actAsSuite(args []string) (code int) {
	flags := flag.NewFlagSet("suite", flag.ContinueOnError)
	url, dir := flags.String("url", "", ""), flags.String("o", "", "")
	scenario, revision, suite := flags.String("scenario", "", ""), flags.String("spec-version", "", ""), flags.String("suite", "", "")
	if args[0] != "server" || flags.Parse(args[1:]) != nil || *url != "http://server/mcp" {
		return 2
	}
	result := func(scenario, checks string) { writeResult(filepath.Join(*dir, "server-"+scenario), checks) }
	switch *scenario {
	case "":
		if *suite != "all" || *revision != "2025-11-25" {
			return 2
		}
		result("one", `[{"id":"a","status":"SUCCESS"}]`)
		result("two", `[{"id":"b","status":"FAILURE","errorMessage":"no"}]`)
		return 1
	case "passes":
		result("passes", `[{"id":"a","status":"SUCCESS"}]`)
	case "breaks-off":
		result("breaks-off", "")
		return 1
	case "passes-and-exits-with-1":
		result("passes-and-exits-with-1", `[{"id":"a","status":"SUCCESS"}]`)
		return 1
	case "crashes":
		return 3
	case "hangs":
		never := make(chan os.Signal, 1)
		signal.Notify(never, syscall.SIGUSR1)
		<-never
	}
	return 0
}

func writeResult(name, checks string) {
	folder := name + "-2026-01-02T03-04-05-678Z"
	if err := os.MkdirAll(folder, 0o750); err != nil {
		panic(err)
	}
	if checks == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(folder, "checks.json"), []byte(checks), 0o600); err != nil {
		panic(err)
	}
}

// actAsWigwag redirects at once, to the callback of the only client there is. One that refuses has no authorization server.
func actAsWigwag(how string) (code int) {
	if how == "silent server" {
		return 1
	}
	mux := http.NewServeMux()
	if how != "refusing server" {
		var callback string
		mux.HandleFunc("POST /oauth/register", func(w http.ResponseWriter, r *http.Request) {
			var client struct {
				RedirectURIs []string `json:"redirect_uris"`
			}
			if err := json.NewDecoder(r.Body).Decode(&client); err != nil {
				panic(err)
			}
			callback = client.RedirectURIs[0]
			fmt.Fprint(w, `{"client_id": "client-1"}`)
		})
		mux.HandleFunc("GET /oauth/authorize", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", callback+"?code="+r.URL.Query().Get("client_id"))
			w.WriteHeader(http.StatusFound)
		})
	}
	server := httptest.NewServer(mux)
	defer server.Close()
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("listening", "url", server.URL+"/")
	<-stopped
	if how == "failing server" {
		return 7
	}
	return 0
}

// actAsAuthorizationSuite passes if the callback is called with the right code. Its scenario that asks for too much is sent to
// where there is nothing, and waits.
func actAsAuthorizationSuite(args []string) (code int) {
	flags := flag.NewFlagSet("suite", flag.ContinueOnError)
	url, dir, client := flags.String("url", "", ""), flags.String("o", "", ""), flags.String("client-id", "", "")
	port, resource, revision := flags.String("port", "", ""), flags.String("resource", "", ""), flags.String("spec-version", "", "")
	if flags.Parse(args) != nil || *resource != *url+"/mcp" {
		return 2
	}
	codes := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "OK")
		codes <- r.URL.Query().Get("code")
	})
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:"+*port)
	if err != nil {
		panic(err)
	}
	server := httptest.Server{Listener: listener, Config: &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}}
	server.Start()
	defer server.Close()
	path := "/oauth/authorize"
	if *revision == "2025-03-26" {
		path = "/nowhere"
	}
	fmt.Fprintf(os.Stdout, "Open this:\n%s%s?client_id=%s\n", *url, path, *client)
	if got := <-codes; got != "client-1" {
		return 1
	}
	writeResult(filepath.Join(*dir, "authorization-server-grant"), `[{"id":"a","status":"SUCCESS"}]`)
	return 0
}

func testLab(t *testing.T, how string) lab {
	t.Helper()
	t.Setenv(actAs, how)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // else each of them takes a second to end
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := t.TempDir()
	if err := os.Symlink(program, filepath.Join(programs, "conformance-server")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(servertest.BinaryEnv, program)
	return lab{node: program, packages: "packages", programs: programs, results: t.TempDir()}
}

func TestConduct(t *testing.T) {
	one := func(scenario string) trial {
		return trial{suite: suite{"x", "1.0"}, scenario: scenario, times: 1, scenarios: 1}
	}
	authorization := trial{suite: suite{"x", "1.0"}, authorization: true, revision: "2026-07-28", times: 1, scenarios: 1}
	nowhere := authorization
	nowhere.revision = "2025-03-26"
	tests := []struct {
		title string
		how   string
		trial trial
		ran   int
		total tally
		err   string
	}{
		{title: "a whole suite", trial: trial{suite: suite{"x", "1.0"}, revision: "2025-11-25", times: 1, scenarios: 2}, ran: 2, total: tally{passed: 1, failures: 1}},
		{title: "in a row", trial: trial{suite: suite{"x", "1.0"}, scenario: "passes", times: 3, scenarios: 1}, ran: 3, total: tally{passed: 3}},
		{title: "broken off", trial: one("breaks-off"), ran: 1, total: tally{failures: 1}},
		{title: "fewer than wanted", trial: trial{suite: suite{"x", "1.0"}, scenario: "passes", times: 1, scenarios: 2}, ran: 1, total: tally{passed: 1}, err: "ran 1 scenarios, want 2"},
		{title: "fails without saying why", trial: one("passes-and-exits-with-1"), ran: 1, total: tally{passed: 1}, err: "exit status 1"},
		{title: "crashes", trial: one("crashes"), err: "exit status 3"},
		{title: "runs nothing", trial: one("does-nothing"), err: "no such file"},
		{title: "no server", how: "silent server", trial: one("passes"), err: "did not print its URL"},
		{title: "authorization", trial: authorization, ran: 1, total: tally{passed: 1}},
		{title: "no page to sign in", trial: nowhere, err: "/nowhere: 404"},
		{title: "no wigwag", how: "silent server", trial: authorization, err: "ended before it listened"},
		{title: "no registration", how: "refusing server", trial: authorization, err: "register a client: 404"},
		{title: "a wigwag that ends badly", how: "failing server", trial: authorization, ran: 1, total: tally{passed: 1}, err: "ended with 7"},
		{title: "a server that ends badly", how: "failing server", trial: one("passes"), ran: 1, total: tally{passed: 1}, err: "exit status 7"},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			if tt.how == "" {
				tt.how = "well"
			}
			o := testLab(t, tt.how).conduct(t.Context(), tt.trial)
			var total tally
			for _, s := range o.scenarios {
				sum, _ := s.judge()
				total.add(sum)
			}
			if len(o.scenarios) != tt.ran || total != tt.total {
				t.Errorf("ran %d with %+v, want %d with %+v", len(o.scenarios), total, tt.ran, tt.total)
			}
			switch {
			case tt.err == "" && o.err != nil:
				t.Errorf("error %v", o.err)
			case tt.err != "" && (o.err == nil || !strings.Contains(o.err.Error(), tt.err)):
				t.Errorf("error %v, want one with %q", o.err, tt.err)
			}
		})
	}
}

// A suite that hangs is stopped when the time is over.
func TestConductEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	o := testLab(t, "well").conduct(ctx, trial{suite: suite{"x", "1.0"}, scenario: "hangs", times: 1, scenarios: 1})
	if o.err == nil {
		t.Error("no error")
	}
}

func TestAllKeepsTheOrder(t *testing.T) {
	trials := []trial{
		{suite: suite{"x", "1.0"}, scenario: "passes", times: 2, scenarios: 1},
		{suite: suite{"x", "1.0"}, scenario: "crashes", times: 1, scenarios: 1},
		{suite: suite{"x", "2.0"}, scenario: "passes", times: 1, scenarios: 1},
	}
	outcomes := testLab(t, "well").all(t.Context(), trials, 2)
	for i, o := range outcomes {
		if o.trial != trials[i] {
			t.Errorf("outcome %d is of %s, want %s", i, o.trial, trials[i])
		}
		if failed := o.err != nil; failed != (o.trial.scenario == "crashes") {
			t.Errorf("%s: error %v", o.trial, o.err)
		}
	}
}
