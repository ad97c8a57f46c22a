package main

import (
	"log/slog"

	"wigwag/web"
	"wigwag/web/api"
	"wigwag/web/seeds"
)

// openSeeds makes what serves the routes of the examples; nil, which serves
// nothing, where they are not asked for.
func openSeeds(k *kept, in *entrance, events *web.Server, rest *api.Server, logger *slog.Logger) (*seeds.Server, error) {
	if !in.seedRoutes {
		return nil, nil
	}
	o := seeds.Options{Hub: k.hub, Events: events, Actor: actor, Call: rest.Call, Revoked: in.revoked, Logger: logger}
	if in.people != nil {
		o.Cookies = &seeds.Cookies{Origins: in.origins, Verifier: in.tokens, SignedIn: in.people.SignedIn, PublicURL: in.addresses.of}
	}
	return seeds.New(o)
}
