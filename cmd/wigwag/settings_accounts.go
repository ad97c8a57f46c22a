package main

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"wigwag/auth"
)

// Values of --auth and --client-registration.
const (
	authOAuth = "oauth"
	authToken = "token"
	authNone  = "none"

	registrationOpen = "open"
	registrationOff  = "off"
)

// issuerSettings are the flags about outside identity providers.
type issuerSettings struct {
	urls       []string
	audience   []string
	algorithms []string
	claim      string
	suffix     string
}

func (s *issuerSettings) register(f *pflag.FlagSet) {
	f.StringArrayVar(&s.urls, "issuer", nil, "an outside identity provider whose access tokens are good here, such as https://idp.example.com; may be repeated. The rest is the same for all")
	f.StringArrayVar(&s.audience, "issuer-audience", nil, "a value that aud of such a token may have; may be repeated (default: the addresses of /mcp)")
	f.StringArrayVar(&s.algorithms, "issuer-algorithm", nil, "an algorithm it may be signed with, such as RS256; may be repeated (default: all that are not symmetric)")
	f.StringVar(&s.claim, "issuer-claim", "preferred_username", "its claim that names the user")
	f.StringVar(&s.suffix, "issuer-suffix", "", "what that must end in and is cut off, such as @example.com")
}

// checkAccounts checks the settings about who may come in.
func (s *settings) checkAccounts() (err error) {
	switch s.auth {
	case authOAuth, authToken, authNone:
	default:
		return fmt.Errorf(`--auth is %q; allowed are "oauth", "token" and "none"`, s.auth)
	}
	switch auth.SignUpMode(s.signUp) {
	case auth.SignUpOff, auth.SignUpInvite, auth.SignUpOpen:
	default:
		return fmt.Errorf(`--signup is %q; allowed are "off", "invite" and "open"`, s.signUp)
	}
	if s.registration != registrationOpen && s.registration != registrationOff {
		return fmt.Errorf(`--client-registration is %q; allowed are "open" and "off"`, s.registration)
	}
	if s.tokenLifetime < time.Second || s.tokenLifetime > time.Hour {
		return fmt.Errorf("--token-lifetime is %s; allowed is from 1s to 1h", s.tokenLifetime)
	}
	if s.callRate < 0 || s.sendRate < 0 {
		return errors.New("--call-rate and --send-rate must not be negative")
	}
	if s.auth == authNone && (len(s.issuers.urls) > 0 || s.signUp != string(auth.SignUpOff)) {
		return errors.New("with --auth=none there are no accounts: leave out --issuer and --signup")
	}
	if s.auth == authNone && s.publicRead {
		return errors.New("with --auth=none everybody reads everything: leave out --public-read")
	}
	if len(s.issuers.urls) == 0 && len(s.issuers.audience)+len(s.issuers.algorithms) > 0 {
		return errors.New("--issuer-audience and --issuer-algorithm say something of an --issuer, and there is none")
	}
	s.proxyNets, err = parseProxies(s.trustedProxies)
	return err
}

// open opens the issuers. The caller closes those that are returned, also with
// an error.
func (s *issuerSettings) open(urls []string, logger *slog.Logger) (open []*auth.Issuer, err error) {
	audience := s.audience
	if len(audience) == 0 {
		for _, u := range urls {
			audience = append(audience, u+"/mcp")
		}
	}
	for _, u := range s.urls {
		one, err := auth.OpenIssuer(auth.IssuerOptions{
			URL: u, Audience: audience, Algorithms: s.algorithms, NameClaim: s.claim, NameSuffix: s.suffix, Logger: logger,
		})
		if err != nil {
			return open, fmt.Errorf("--issuer: %w", err)
		}
		open = append(open, one)
	}
	return open, nil
}
