package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// logins is the file in which the command line keeps what "wigwag login" got,
// by server. Only its owner can read it.
type logins struct{ path string }

// storedLogin is what is kept of one server.
type storedLogin struct {
	User    string    `json:"user"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires,omitzero"` // of the token; zero: not known
	// Of a sign-in in the browser; empty where a token was given.
	Client  string `json:"client_id,omitempty"`
	Refresh string `json:"refresh_token,omitempty"`
}

const loginsVersion = 1

type loginsFile struct {
	Version int                    `json:"version"`
	Servers map[string]storedLogin `json:"servers"`
}

// newLogins finds the file: in $XDG_CONFIG_HOME/wigwag or ~/.config/wigwag.
func newLogins(env environment) (*logins, error) {
	dir := env["XDG_CONFIG_HOME"]
	if dir == "" {
		if env["HOME"] == "" {
			return nil, errors.New("there is no home folder to keep logins in: set XDG_CONFIG_HOME")
		}
		dir = filepath.Join(env["HOME"], ".config")
	}
	return &logins{filepath.Join(dir, "wigwag", "credentials.json")}, nil
}

// change lets fn change what is kept, one process at a time, and stores it when
// fn returns no error.
func (l *logins) change(fn func(servers map[string]storedLogin) error) error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o700); err != nil {
		return err
	}
	unlock, err := lockedfile.MutexAt(l.path + ".lock").Lock()
	if err != nil {
		return err
	}
	defer unlock()
	servers, err := l.read()
	if err != nil {
		return err
	}
	if err := fn(servers); err != nil {
		return err
	}
	return l.write(servers)
}

func (l *logins) read() (map[string]storedLogin, error) {
	text, err := os.ReadFile(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return map[string]storedLogin{}, nil
	}
	if err != nil {
		return nil, err
	}
	var file loginsFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; remove it and sign in again", l.path, err)
	}
	if file.Version != loginsVersion {
		return nil, fmt.Errorf("%s is of version %d; this program reads version %d", l.path, file.Version, loginsVersion)
	}
	if file.Servers == nil {
		file.Servers = map[string]storedLogin{}
	}
	return file.Servers, nil
}

// write replaces the file as a whole, so that it is never there in part.
func (l *logins) write(servers map[string]storedLogin) (err error) {
	text, err := json.MarshalIndent(loginsFile{loginsVersion, servers}, "", "  ")
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(l.path), ".credentials-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(append(text, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), l.path)
}

// choose returns the server that is meant: the named one, or the only one.
func (l *logins) choose(named string) (server string, err error) {
	servers, err := l.read()
	if err != nil {
		return "", err
	}
	if named != "" {
		if server, err = serverOrigin(named); err != nil {
			return "", err
		}
		if _, ok := servers[server]; !ok {
			return "", signedOutError{fmt.Errorf("you are not signed in to %s: run wigwag login %s", server, server)}
		}
		return server, nil
	}
	all := slices.Sorted(maps.Keys(servers))
	switch len(all) {
	case 0:
		return "", signedOutError{errors.New("you are not signed in to a server: run wigwag login URL")}
	case 1:
		return all[0], nil
	default:
		return "", fmt.Errorf("you are signed in to %s: say which one with --server", strings.Join(all, ", "))
	}
}

// serverOrigin returns the origin of a server's address, which may be that of
// its MCP endpoint. A plain http address must be of this machine: a token sent
// there could be read on the way.
func serverOrigin(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !slices.Contains([]string{"", "/", "/mcp", "/sse"}, u.Path) {
		return "", fmt.Errorf("%q is not the address of a server: it looks like https://chat.example.com", raw)
	}
	host := strings.ToLower(u.Host)
	switch {
	case u.Scheme == "https":
		host = strings.TrimSuffix(host, ":443")
	case u.Scheme == "http" && slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, strings.ToLower(u.Hostname())):
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", fmt.Errorf("%q must begin with https://: only on this machine (127.0.0.1, [::1], localhost) plain http is safe", raw)
	}
	return u.Scheme + "://" + host, nil
}
