package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"wigwag/clients/browser"
	"wigwag/clients/servertest"
)

// serveWigwag starts wigwag serve and returns its URL once it is ready, which is its issuer. stop ends it, keeps its log, and
// reports if it did not end well.
func (l lab) serveWigwag(ctx context.Context, logFile string) (url string, stop func() error, err error) {
	p, listens, err := servertest.Launch(ctx, "--auth=oauth", "--memory")
	if err != nil {
		return "", nil, err
	}
	if !listens {
		return "", nil, fmt.Errorf("wigwag serve ended before it listened:\n%s", p.Logs())
	}
	stop = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			p.Kill()
			return fmt.Errorf("%w; see %s", err, logFile)
		}
		return os.WriteFile(logFile, []byte(p.Logs()), 0o600)
	}
	return p.URL, stop, nil
}

// startAuthorization starts the suite for authorization servers as a client of its own. Where it wants a person to sign in
// and to consent, they do.
func (l lab) startAuthorization(ctx context.Context, t trial, issuer, dir string) ([]scenario, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	client, err := register(ctx, issuer, fmt.Sprintf("http://127.0.0.1:%d/callback", port))
	if err != nil {
		return nil, err
	}
	args := []string{"authorization", "--url", issuer, "--client-id", client, "--resource", issuer + "/mcp", "--port", strconv.Itoa(port)}
	var visited error
	scenarios, err := l.run(ctx, t, dir, args, func(suite *exec.Cmd) error {
		log := suite.Stdout
		suite.Stdout = nil
		stdout, err := suite.StdoutPipe()
		if err != nil {
			return err
		}
		if err := suite.Start(); err != nil {
			return err
		}
		if visited = visit(ctx, io.TeeReader(stdout, log), issuer); visited != nil {
			_ = suite.Cancel() // it would wait for five minutes
		}
		return suite.Wait()
	})
	return scenarios, errors.Join(visited, err)
}

// visit opens what the suite prints that is an address of the issuer's, each on a line of its own.
func visit(ctx context.Context, printed io.Reader, issuer string) error {
	person := browser.Person{Name: "admin", Password: servertest.Password}
	lines := bufio.NewScanner(printed)
	for lines.Scan() {
		if line := lines.Text(); strings.HasPrefix(line, issuer+"/") {
			if _, err := person.Open(ctx, line); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// register registers a client (RFC 7591) and returns its ID.
func register(ctx context.Context, issuer, redirect string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]any{"client_name": "MCP conformance", "redirect_uris": []string{redirect}})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, issuer+"/oauth/register", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		ClientID string `json:"client_id"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.ClientID == "" {
		return "", fmt.Errorf("register a client: %s, %w", res.Status, err)
	}
	return answer.ClientID, nil
}

// freePort returns a port of 127.0.0.1 that nobody listens on. The suite cannot be asked which one it took.
func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}
