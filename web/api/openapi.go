package api

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"wigwag/web/endpoint"
)

//go:embed openapi.json
var document []byte

// Description returns the handler of GET /api/openapi.json, for everybody: what
// there is to call (OpenAPI 3.1), here and of accounts.
func (s *Server) Description() http.Handler {
	return s.endpoints.Handler(endpoint.Methods{"GET": func(w http.ResponseWriter, r *http.Request) error {
		endpoint.WriteTagged(w, r, json.RawMessage(document))
		return nil
	}})
}
