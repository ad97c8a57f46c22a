package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"time"

	"wigwag/auth"
)

const (
	codePrefix = "code/"
	codeLife   = time.Minute
	// codeKept is how long a code is remembered to have been used: a replay
	// within it revokes what came from the code.
	codeKept = time.Hour
	maxCodes = 100 // of a person
)

// code is what a person allowed a client, until it is exchanged for tokens. It
// is stored under the hash of what the client has.
type code struct {
	Client     string      `json:"client"`
	ClientName string      `json:"client_name"`
	Redirect   string      `json:"redirect"` // as it was asked for
	Challenge  string      `json:"challenge"`
	Resource   string      `json:"resource"`
	Scopes     auth.Scopes `json:"scopes"`
	Generation string      `json:"generation"` // the person's; the person is the record's owner
	Until      time.Time   `json:"until"`

	Redeemed   time.Time `json:"redeemed,omitzero"`    // when
	Credential string    `json:"credential,omitempty"` // what came of it
	Replayed   bool      `json:"replayed,omitempty"`
}

// newCode returns a code for what a person granted.
func (s *Server) newCode(ctx context.Context, req request, id auth.Identity, granted auth.Scopes) (string, error) {
	if err := s.records.makeRoom(ctx, codePrefix, id.Subject, maxCodes); err != nil {
		return "", err
	}
	secret := rand.Text() + rand.Text()
	now := s.now().UTC()
	return secret, create(ctx, s.records, codePrefix+hashed(secret), record[code]{
		heading: heading{Ends: now.Add(codeLife + codeKept), Owner: id.Subject},
		Data: code{
			Client: req.client.ID, ClientName: req.client.Name, Redirect: req.redirect, Challenge: req.challenge,
			Resource: req.resource, Scopes: granted, Generation: id.Generation(), Until: now.Add(codeLife),
		},
	})
}

// exchange is a request for tokens in exchange for a code.
type exchange struct {
	code, client, redirect, verifier, resource string
	arrived                                    time.Time
}

// redeem exchanges a code for tokens, once. Whoever shows it again, having come
// after it was redeemed, is a thief or was preceded by one: what came from it
// ends. Those who come at once are the client itself, twice; one of them wins.
func (s *Server) redeem(r *http.Request, x exchange) (auth.Issued, error) {
	ctx, key := r.Context(), codePrefix+hashed(x.code)
	stored, revision, err := load[code](s.records, key)
	if err != nil {
		return auth.Issued{}, err
	}
	c := stored.Data
	if revision == 0 {
		return auth.Issued{}, invalidGrant("the code is unknown; codes are good once, for %s", codeLife)
	}
	if !c.Redeemed.IsZero() {
		if x.arrived.After(c.Redeemed) {
			err = s.replayed(r, key)
		}
		return auth.Issued{}, firstError(err, invalidGrant("the code has been used; codes are good once"))
	}
	if err := s.checkExchange(x, c); err != nil {
		return auth.Issued{}, err
	}
	user, err := s.o.Users.Of(stored.Owner, c.Generation)
	if err != nil {
		return auth.Issued{}, userError(err)
	}
	c.Redeemed = s.now().UTC()
	stored.Data = c
	if won, err := save(ctx, s.records, key, stored, revision); err != nil || !won {
		return auth.Issued{}, firstError(err, invalidGrant("the code has been used; codes are good once"))
	}
	issued, err := s.o.Tokens.Authorize(ctx, user, auth.Authorization{
		Client: c.Client, ClientName: c.ClientName, Resource: c.Resource, Scopes: c.Scopes,
	})
	if err != nil {
		return auth.Issued{}, err
	}
	return issued, s.noteCredential(ctx, key, user.Name, issued.Identity.Credential)
}

// checkExchange compares what was asked for with what was allowed.
func (s *Server) checkExchange(x exchange, c code) error {
	challenge := sha256.Sum256([]byte(x.verifier))
	proof := base64.RawURLEncoding.EncodeToString(challenge[:])
	switch {
	case !s.now().Before(c.Until):
		return invalidGrant("the code has expired; codes are good for %s", codeLife)
	case x.client != c.Client:
		return invalidGrant("the code is another client's")
	case x.redirect != "" && x.redirect != c.Redirect: // left out by OAuth 2.1, where PKCE does the work
		return invalidGrant("redirect_uri is not the one of the authorization request")
	case subtle.ConstantTimeCompare([]byte(proof), []byte(c.Challenge)) != 1:
		return invalidGrant("code_verifier does not fit the code_challenge of the authorization request")
	case x.resource != "" && x.resource != c.Resource:
		return refuse(http.StatusBadRequest, "invalid_target", "resource is %s; the code is for %s", clip(x.resource), c.Resource)
	}
	return nil
}

// noteCredential notes what came of a code, unless it was replayed before that
// was known: then it ends.
func (s *Server) noteCredential(ctx context.Context, key, user, credential string) error {
	replayed := false
	err := change(ctx, s.records, key, func(stored *record[code], found bool) bool {
		replayed = stored.Data.Replayed
		stored.Data.Credential = credential
		return found && !replayed
	})
	if err != nil || !replayed {
		return err
	}
	if err := s.revoke(ctx, user, credential); err != nil {
		return err
	}
	return invalidGrant("the code was used twice; what came from it is revoked")
}

// replayed ends what came of a code, or, where that is not known yet, sees to
// it that it ends.
func (s *Server) replayed(r *http.Request, key string) error {
	var c code
	var user string
	err := change(r.Context(), s.records, key, func(stored *record[code], found bool) bool {
		c, user = stored.Data, stored.Owner
		if stored.Data.Replayed {
			return false
		}
		stored.Data.Replayed = true
		return found
	})
	if err != nil || c.Replayed {
		return err
	}
	s.o.Audit.Record(r.Context(), auth.Event{Action: "code.replay", Client: c.Client, Target: user, Outcome: "revoked", Detail: "a code was shown again; what came from it ends"})
	if c.Credential == "" {
		return nil
	}
	return s.revoke(r.Context(), user, c.Credential)
}

// firstError is err, and otherwise if there is none.
func firstError(err error, otherwise *refusal) error {
	if err != nil {
		return err
	}
	return otherwise
}
