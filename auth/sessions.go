package auth

import (
	"context"
	"time"
)

const (
	webIdle        = 12 * time.Hour
	ticketLifetime = 30 * time.Second
)

// OpenSession begins a web session of a user. The secret, of 256 bits, is for a
// cookie. The session ends after twelve hours without use, and when it is
// revoked by its Identity.Credential.
func (t *Tokens) OpenSession(ctx context.Context, user User) (secret string, id Identity, err error) {
	secret, key := newSecret()
	r := t.newCredential(user, Credential{Kind: KindWeb, Scopes: ScopeAdmin}, webIdle)
	if err := t.credentials.add(ctx, key, r); err != nil {
		return "", Identity{}, err
	}
	r.ID = key
	return secret, t.identity(r), nil
}

// Session returns the identity that a web session's secret proves, or a
// [TokenError]. The session goes on.
func (t *Tokens) Session(secret string) (Identity, error) {
	if !isSecret(secret) {
		return Identity{}, errInvalid
	}
	r, revision, err := t.credentials.alive(idOf(secret))
	if err != nil {
		return Identity{}, err
	}
	if revision == 0 || r.Kind != KindWeb {
		return Identity{}, TokenError("the session has ended")
	}
	t.credentials.index.use(r.Credential)
	r.usedAt(now())
	return t.identity(r), nil
}

// NewTicket returns a ticket for a stream: a secret of 256 bits that stands for
// the token that proved id, once, within 30 seconds.
func (t *Tokens) NewTicket(ctx context.Context, id Identity) (ticket string, err error) {
	secret, key := newSecret()
	r := t.newCredential(User{Name: id.Subject, generation: id.generation}, Credential{Kind: kindTicket}, ticketLifetime)
	r.Bearer = &id
	if err := t.credentials.add(ctx, key, r); err != nil {
		return "", err
	}
	return secret, nil
}

// Redeem returns the identity a ticket stands for, or a [TokenError]. Of those
// who redeem a ticket at once one gets it.
func (t *Tokens) Redeem(ctx context.Context, ticket string) (Identity, error) {
	const refused = TokenError("the ticket is not valid: tickets are good once, for 30 seconds")
	if !isSecret(ticket) {
		return Identity{}, refused
	}
	r, ok, err := t.credentials.take(ctx, idOf(ticket), kindTicket)
	if err != nil {
		return Identity{}, err
	}
	if !ok || r.Bearer == nil {
		return Identity{}, refused
	}
	id := *r.Bearer
	id.generation, id.Role = r.Generation, r.owner.role()
	if t.Revoked(id) || !id.Expires.IsZero() && !time.Now().Before(id.Expires) {
		return Identity{}, refused
	}
	return id, nil
}
