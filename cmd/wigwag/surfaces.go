package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/mcp"
	"wigwag/store"
	"wigwag/tools"
	"wigwag/transport"
	"wigwag/web"
	"wigwag/web/api"
	"wigwag/web/seeds"
)

// surfaces are what serves clients.
type surfaces struct {
	mcp    *transport.Server
	events *web.Server
	api    *api.Server
	seeds  *seeds.Server // nil: they are not served
}

// openSurfaces makes them. Stop ends them at once; a drain comes before it.
func openSurfaces(ctx context.Context, k *kept, in *entrance, a *admission, counted *numbers, logger *slog.Logger) (_ *surfaces, stop func(), err error) {
	states, err := k.secret(ctx, "request-states")
	if err != nil {
		return nil, nil, err
	}
	rest := api.New(api.Options{
		Hub: k.hub, Actor: actor, Permit: in.permission.allow, Pace: in.permission.take, Revoked: in.revoked,
		MaxCalls: in.limits.MaxStreams, MaxCallsPerUser: in.limits.MaxCallsPerUser, Logger: logger,
	})
	events := web.New(web.Options{
		Hub: k.hub, Actor: actor, Permit: in.permission.allow, Revoked: in.revoked,
		Overloaded: a.overloaded, Refused: counted.ofEvents(), Limits: in.eventLimits(), Logger: logger,
	})
	examples, err := openSeeds(k, in, events, rest, logger)
	if err != nil {
		return nil, nil, err
	}
	server := mcp.NewServer(mcp.Options{
		Version: version(), Hub: k.hub, Actor: actor, Tools: tools.New(k.hub, actor), Transcript: tools.Transcript,
	})
	t := transport.New(server, transport.Options{
		Owner: owner, Permit: in.permission.permit, Pace: in.permission.pace, Subscribable: mcp.Subscribable(k.hub), Revoked: in.revoked,
		Sessions: k.store.Bucket(store.Sessions), Streams: k.store.Streams(), Secret: states, DirectTools: true,
		Overloaded: a.overloaded, Observer: counted.ofTransport(), Limits: in.limits, Logger: logger,
	})
	mcp.Announce(k.hub, t)
	stopRevoking := k.creds.OnRevoked(func(r auth.Revocation) {
		if r.Credential == "" { // all the user has
			t.EndUser(r.User)
		}
		t.EndRevoked()
		events.EndRevoked()
	})
	return &surfaces{t, events, rest, examples}, func() {
		stopRevoking()
		endNow(t, events, rest, examples)
	}, nil
}

// endNow ends servers without waiting for anybody.
func endNow(servers ...interface{ Shutdown(context.Context) error }) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range servers {
		_ = s.Shutdown(ended) // what it cut off was nobody's
	}
}

// actor is who calls, from the token that was verified.
func actor(ctx context.Context) hub.Actor {
	id, _ := auth.FromContext(ctx) // every route to a tool sets it; without it nobody is called ""
	return hub.Actor{Name: id.Subject, Via: cmp.Or(id.ClientName, id.Client), Guest: id.Kind == auth.KindGuest}
}

func owner(r *http.Request) transport.Owner {
	id, _ := auth.FromContext(r.Context()) // as above
	return transport.Owner{User: id.Subject, Key: id.Key(), Expires: id.Expires}
}
