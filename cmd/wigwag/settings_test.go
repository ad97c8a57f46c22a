package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestSettingsPrecedence(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	write(t, config, "# a comment\n\nmax-streams = 11\nmax-body=22\nmax-calls-per-user = 33\npublic-url = https://a.example, https://b.example\n")
	secret := filepath.Join(dir, "secret")
	write(t, secret, "5m\n")

	var s settings
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.register(f)
	if err := f.Parse([]string{"--max-streams", "1"}); err != nil {
		t.Fatal(err)
	}
	env := newEnvironment([]string{"WIGWAG_MAX_STREAMS=2", "WIGWAG_MAX_BODY=3", "WIGWAG_MAX_CALL_FILE=" + secret})
	if err := env.apply(f, config); err != nil {
		t.Fatal(err)
	}
	switch {
	case s.limits.MaxStreams != 1:
		t.Errorf("max-streams is %d; the flag goes first", s.limits.MaxStreams)
	case s.limits.MaxBody != 3:
		t.Errorf("max-body is %d; the environment goes before the file", s.limits.MaxBody)
	case s.limits.MaxCallsPerUser != 33:
		t.Errorf("max-calls-per-user is %d; the file goes before the default", s.limits.MaxCallsPerUser)
	case s.limits.MaxCall != 5*time.Minute:
		t.Errorf("max-call is %v; WIGWAG_MAX_CALL_FILE was not read", s.limits.MaxCall)
	case s.limits.MaxSessionsPerUser != 64:
		t.Errorf("max-sessions-per-user is %d; want the default", s.limits.MaxSessionsPerUser)
	case strings.Join(s.publicURLs, " ") != "https://a.example https://b.example":
		t.Errorf("public-url is %q", s.publicURLs)
	}
}

func TestSettingsRefused(t *testing.T) {
	dir := t.TempDir()
	unknown := filepath.Join(dir, "unknown")
	write(t, unknown, "max-stream = 1\n")
	shapeless := filepath.Join(dir, "shapeless")
	write(t, shapeless, "max-streams\n")
	short := filepath.Join(dir, "short")
	write(t, short, "secret")
	tests := []struct {
		name string
		args []string
		env  []string
		want string // in the message
	}{
		{"unknown auth", []string{"--auth=maybe"}, nil, `"oauth", "token" and "none"`},
		{"sign-up", []string{"--signup=maybe"}, nil, `"invite" and "open"`},
		{"client registration", []string{"--client-registration=maybe"}, nil, `"open" and "off"`},
		{"proxy", []string{"--trusted-proxy=proxy.example"}, nil, `must be an address`},
		{"rate", []string{"--call-rate=-1"}, nil, "must not be negative"},
		{"a token for long", []string{"--token-lifetime=2h"}, nil, "from 1s to 1h"},
		{"issuer, in the clear", []string{"--issuer=http://idp.example"}, nil, "--issuer"},
		{"audience of no issuer", []string{"--issuer-audience=x"}, nil, "there is none"},
		{"accounts of nobody", []string{"--auth=none", "--signup=open"}, nil, "there are no accounts"},
		{"zero", []string{"--max-body=0"}, nil, "--max-body must be more than zero"},
		{"key without certificate", []string{"--tls-key=x"}, nil, "--tls-cert and --tls-key go together"},
		{"no such certificate", []string{"--tls-key=x", "--tls-cert=y"}, nil, "--tls-cert and --tls-key: open y"},
		{"log format", []string{"--log-format=xml"}, nil, `"text" and "json"`},
		{"log level", []string{"--log-level=loud"}, nil, `"debug", "info", "warn" and "error"`},
		{"number in the environment", nil, []string{"WIGWAG_MAX_STREAMS=many"}, "WIGWAG_MAX_STREAMS"},
		{"value and file", nil, []string{"WIGWAG_MAX_STREAMS=1", "WIGWAG_MAX_STREAMS_FILE=x"}, "are both set"},
		{"no such file", nil, []string{"WIGWAG_ADMIN_PASSWORD_FILE=" + dir + "/none"}, "WIGWAG_ADMIN_PASSWORD_FILE"},
		{"short password", nil, []string{"WIGWAG_ADMIN_PASSWORD_FILE=" + short}, "WIGWAG_ADMIN_PASSWORD"},
		{"unknown line", []string{"--config", unknown}, nil, `no setting "max-stream"`},
		{"shapeless line", []string{"--config", shapeless}, nil, shapeless + ":1"},
		{"no such config", []string{"--config", dir + "/none"}, nil, "no such file"},
		{"public URL with a path", []string{"--public-url=https://a.example/x"}, nil, "without a path"},
		{"beyond loopback, unnamed", []string{"--addr=0.0.0.0:0"}, nil, "--public-url"},
		{"beyond loopback, no TLS", []string{"--addr=0.0.0.0:0", "--public-url=http://a.example"}, nil, "in the clear"},
		{"beyond loopback, no proxy", []string{"--addr=0.0.0.0:0", "--public-url=https://a.example"}, nil, "--trusted-proxy"},
		{"beyond loopback, open", []string{"--addr=0.0.0.0:0", "--auth=none", "--public-url=https://a.example"}, nil, "loopback addresses only"},
		{"address", []string{"--addr=nowhere"}, nil, "--addr nowhere"},
		{"argument", []string{"now"}, nil, "unknown command"},
		{"sync", []string{"--sync=never"}, nil, `"always" and "interval"`},
		{"memory and data", []string{"--memory", "--data=x"}, nil, "exclude each other"},
		{"long folder", []string{"--data", dir + "/" + strings.Repeat("x", 100)}, nil, "use a shorter --data"},
		{"no home", nil, []string{"HOME="}, "--memory to keep nothing"},
		{"folder below a file", []string{"--data", short + "/x"}, nil, short},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var errOut strings.Builder
			code := run(t.Context(), append([]string{"serve", "--addr=127.0.0.1:0"}, tt.args...), append([]string{"HOME=" + t.TempDir()}, tt.env...), &errOut, &errOut)
			if code == 0 || !strings.Contains(errOut.String(), tt.want) {
				t.Errorf("exit code %d, and %q does not say %q", code, errOut.String(), tt.want)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
