package main

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/store"
	"wigwag/transport"
)

// settings are the flags of serve. Each can also come from the environment or
// from the config file; see [environment.apply].
type settings struct {
	addr           string
	auth           string
	publicURLs     []string
	trustedProxies []string
	proxyNets      []netip.Prefix // of trustedProxies
	signUp         string
	registration   string // of OAuth clients
	queryToken     bool
	publicRead     bool
	seedRoutes     bool
	tokenLifetime  time.Duration
	issuers        issuerSettings
	callRate       int
	sendRate       int
	allowedHosts   []string
	allowedOrigins []string
	tlsCert        string
	tlsKey         string
	logFormat      string
	logLevel       string
	metricsAddr    string
	drainDelay     time.Duration
	drainTimeout   time.Duration
	memoryLimit    string
	maxConnections int
	data           string
	memory         bool
	sync           string
	maxStore       byteSize
	minFree        byteSize
	keep           time.Duration
	limits         transport.Limits
}

func (s *settings) register(f *pflag.FlagSet) {
	f.StringVar(&s.addr, "addr", "127.0.0.1:8080", "address to listen on")
	f.StringVar(&s.auth, "auth", authOAuth, `who may come in: "oauth" (who has a token, which MCP clients get by a sign-in in the browser), "token" (the same without OAuth: clients are given a token) or "none" (everybody, as "anonymous"; on loopback only)`)
	f.StringArrayVar(&s.publicURLs, "public-url", nil, "an address clients use, such as https://chat.example.com; the first is the issuer of tokens; may be repeated (default: the address listened on, under the loopback names)")
	f.StringArrayVar(&s.trustedProxies, "trusted-proxy", nil, "address or network of a proxy in front, such as 10.0.0.2 or 10.0.0.0/8, which is believed in X-Forwarded-For (or Forwarded) and X-Forwarded-Proto; may be repeated")
	f.StringVar(&s.signUp, "signup", string(auth.SignUpOff), `who may make an account: "off" (nobody), "invite" (who has an invitation) or "open" (everybody)`)
	f.StringVar(&s.registration, "client-registration", registrationOpen, `"open" (OAuth clients register themselves) or "off" (only those that publish a metadata document)`)
	f.BoolVar(&s.queryToken, "query-token", false, "take access tokens as ?token= on /events, where they end up in logs of others; a ticket does not")
	f.BoolVar(&s.publicRead, "public-read", false, "show the messages of public rooms on /events to everybody, also without a token")
	f.BoolVar(&s.seedRoutes, "seed-routes", false, "serve the routes of the examples in docs/seeds.md, such as /send-message, for their own clients; the cookie auth_token is taken then, too")
	f.DurationVar(&s.tokenLifetime, "token-lifetime", time.Hour, "how long an access token is good, an hour at most; then clients refresh it")
	s.issuers.register(f)
	f.StringArrayVar(&s.allowedHosts, "allowed-host", nil, "a further Host that requests may name, such as wigwag.internal:8080; may be repeated")
	f.StringArrayVar(&s.allowedOrigins, "allowed-origin", nil, "a further Origin that pages may call from, such as http://localhost:6274; may be repeated")
	f.StringVar(&s.tlsCert, "tls-cert", "", "PEM file of the TLS certificate and its chain")
	f.StringVar(&s.tlsKey, "tls-key", "", "PEM file of the certificate's key")
	f.StringVar(&s.logFormat, "log-format", "text", `"text" or "json", on standard error`)
	f.StringVar(&s.logLevel, "log-level", "info", `"debug", "info", "warn" or "error"`)
	f.StringVar(&s.metricsAddr, "metrics-addr", "", "address to serve /metrics on for Prometheus, without authentication, such as 127.0.0.1:9464 (default: not served)")
	f.DurationVar(&s.drainDelay, "drain-delay", 0, "how long to serve on after SIGTERM with /readyz failing, so that a load balancer notices")
	f.DurationVar(&s.drainTimeout, "drain-timeout", 10*time.Second, "how long running calls may take to end after that")

	f.StringVar(&s.data, "data", "", "folder where everything is kept (default: $XDG_DATA_HOME/wigwag, else ~/.local/share/wigwag)")
	f.BoolVar(&s.memory, "memory", false, "keep everything in memory, for trials: it is gone when the server ends")
	f.StringVar(&s.sync, "sync", store.SyncAlways, `"always" (what is acknowledged is on disk) or "interval" (faster; a power loss may take the last second)`)
	f.Var(&s.maxStore, "max-store", "messages to keep; then sending fails, and nothing is dropped in silence (default: 4GiB, with --memory 128MiB)")
	s.minFree = store.DefaultMinFree
	f.Var(&s.minFree, "min-free", "disk space to leave free: below it sending fails, and reading goes on; 0 is none")
	f.DurationVar(&s.keep, "keep", 0, "how long messages are kept (default: forever)")

	l := &s.limits
	l.MaxBody = 4 << 20
	f.Var((*byteSize)(&l.MaxBody), "max-body", "largest request body")
	f.IntVar(&s.maxConnections, "max-connections", 30_000, "connections at a time, and never more than three quarters of the files that the process may open")
	f.IntVar(&l.MaxStreams, "max-streams", 10_000, "listening streams at a time; also sessions, and running calls")
	f.IntVar(&l.MaxStreamsPerUser, "max-streams-per-user", 64, "listening streams one user may have (not with --auth=none)")
	f.IntVar(&l.MaxCallsPerUser, "max-calls-per-user", 32, "calls one user may have running, and messages on their way in parts (not with --auth=none)")
	f.IntVar(&s.callRate, "call-rate", 1000, "requests a second of one user, over MCP and REST together, and ten times as many at once; 0 is no limit (not with --auth=none)")
	f.IntVar(&s.sendRate, "send-rate", 100, "messages, notifications, log lines and new rooms a second of one user, and ten times as many at once; 0 is no limit (not with --auth=none)")
	f.IntVar(&l.MaxSessionsPerUser, "max-sessions-per-user", 64, "MCP sessions one user may have; beyond it the one idle longest ends (not with --auth=none)")
	f.DurationVar(&l.SessionIdle, "session-idle", 24*time.Hour, "an MCP session ends after so long without use")
	f.DurationVar(&l.StreamLifetime, "stream-lifetime", 30*time.Minute, "a listening connection is asked to reconnect after so long, give or take 20 %")
	f.DurationVar(&l.MaxCall, "max-call", 10*time.Minute, "longest time a call may run")
	f.DurationVar(&l.Heartbeat, "heartbeat", 15*time.Second, "a stream that is silent gets a comment this often")
	f.DurationVar(&l.WriteTimeout, "write-timeout", 10*time.Second, "a client that has not read 64KiB of a stream after so long is cut off")
	f.StringVar(&s.memoryLimit, "memory-limit", limitAuto, `memory to use, such as 2GiB; when nine tenths are in use nothing new is let in. "auto" is GOMEMLIMIT, else nine tenths of the control group's limit; "none" is no limit`)
}

func (s *settings) check() error {
	if err := s.checkAccounts(); err != nil {
		return err
	}
	if s.sync != store.SyncAlways && s.sync != store.SyncInterval {
		return fmt.Errorf("--sync is %q; allowed are %q and %q", s.sync, store.SyncAlways, store.SyncInterval)
	}
	if s.memory && s.data != "" {
		return errors.New("--memory and --data exclude each other")
	}
	for name, v := range map[string]time.Duration{"keep": s.keep, "drain-delay": s.drainDelay} {
		if v < 0 {
			return fmt.Errorf("--%s must not be negative", name)
		}
	}
	if (s.tlsCert == "") != (s.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key go together")
	}
	for name, v := range map[string]int64{
		"max-body": s.limits.MaxBody, "max-connections": int64(s.maxConnections), "max-streams": int64(s.limits.MaxStreams),
		"max-streams-per-user": int64(s.limits.MaxStreamsPerUser), "max-calls-per-user": int64(s.limits.MaxCallsPerUser),
		"max-sessions-per-user": int64(s.limits.MaxSessionsPerUser), "session-idle": int64(s.limits.SessionIdle),
		"stream-lifetime": int64(s.limits.StreamLifetime), "max-call": int64(s.limits.MaxCall), "drain-timeout": int64(s.drainTimeout),
		"heartbeat": int64(s.limits.Heartbeat), "write-timeout": int64(s.limits.WriteTimeout),
	} {
		if v <= 0 {
			return fmt.Errorf("--%s must be more than zero", name)
		}
	}
	return nil
}

// userLimits are the limits in force. With --auth=none all clients are one user:
// limits of one user would be limits of all.
func (s *settings) userLimits() transport.Limits {
	l := s.limits
	if s.auth == authNone {
		l.MaxStreamsPerUser, l.MaxCallsPerUser, l.MaxSessionsPerUser = -1, -1, -1
	}
	return l
}

// hubOptions are the users that the hub knows, where it is not all there are,
// and its bounds.
func (s *settings) hubOptions() hub.Options {
	l := s.userLimits()
	o := hub.Options{
		MaxListeners:      2 * l.MaxStreams, // streams of /events, and calls that wait
		MaxStreamsPerUser: l.MaxCallsPerUser,
	}
	if s.auth == authNone {
		o.Users, o.MaxRoomsPerUser, o.MaxAlteredPerUser, o.MaxKeysPerUser, o.MaxReadsPerUser = everybody{}, -1, -1, -1, -1
	}
	return o
}

// storeOptions say where and how everything is kept.
func (s *settings) storeOptions(env environment, logger *slog.Logger) (o store.Options, err error) {
	o = store.Options{Memory: s.memory, Sync: s.sync, MaxBytes: int64(s.maxStore), MaxAge: s.keep, MinFree: int64(s.minFree), Logger: logger}
	if !s.memory {
		o.Dir, err = dataFolder(s.data, env)
	}
	return o, err
}

// environment is where settings come from beside flags.
type environment map[string]string

func newEnvironment(environ []string) environment {
	env := make(environment, len(environ))
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	return env
}

// lookup returns the value of NAME, or the contents of the file that NAME_FILE
// names without a line end, which is how secrets are mounted.
func (env environment) lookup(name string) (value string, ok bool, err error) {
	value, ok = env[name]
	path, fromFile := env[name+"_FILE"]
	switch {
	case !fromFile:
		return value, ok, nil
	case ok:
		return "", false, fmt.Errorf("%s and %s_FILE are both set; set one", name, name)
	}
	b, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return "", false, fmt.Errorf("%s_FILE: %w", name, err)
	}
	return strings.TrimRight(string(b), "\r\n"), true, nil
}

// apply sets every flag that was not given: from the environment (--x-y is
// WIGWAG_X_Y or WIGWAG_X_Y_FILE), else from the config file. Flags that may be
// repeated are separated by commas there.
func (env environment) apply(f *pflag.FlagSet, configFile string) error {
	config, err := readConfig(configFile)
	if err != nil {
		return err
	}
	f.VisitAll(func(flag *pflag.Flag) {
		fromFile, inFile := config[flag.Name]
		delete(config, flag.Name)
		if err != nil || flag.Changed || flag.Name == "help" {
			return
		}
		name := "WIGWAG_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
		value, ok, lookupErr := env.lookup(name)
		switch {
		case lookupErr != nil:
			err = lookupErr
		case ok:
			err = setFlag(flag, value, name)
		case inFile:
			err = setFlag(flag, fromFile, configFile)
		}
	})
	if err == nil && len(config) > 0 {
		unknown := slices.Sorted(maps.Keys(config))
		err = fmt.Errorf("%s: there is no setting %q; a line is the name of a flag of serve, =, and its value", configFile, unknown[0])
	}
	return err
}

func setFlag(flag *pflag.Flag, value, from string) error {
	values := []string{value}
	if _, repeated := flag.Value.(pflag.SliceValue); repeated {
		values = strings.Split(value, ",")
	}
	for _, v := range values {
		if err := flag.Value.Set(strings.TrimSpace(v)); err != nil {
			return fmt.Errorf("%s: %q does not fit --%s: %w", from, v, flag.Name, err)
		}
	}
	return nil
}

// readConfig reads lines of the form name = value; # begins a comment line.
func readConfig(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer file.Close()
	config := make(map[string]string)
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s:%d: a line is the name of a flag of serve, =, and its value", path, n)
		}
		config[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return config, lines.Err()
}
