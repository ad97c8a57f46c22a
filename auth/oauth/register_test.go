package oauth

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func (l *lab) registration(body string) answer {
	l.t.Helper()
	return l.do(http.MethodPost, l.http.URL+registerPath, body, "Content-Type", "application/json", "Origin", "https://inspector.example")
}

func TestLine14RegistrationsOfClientsInTheField(t *testing.T) {
	l := newLab(t)
	for name, body := range map[string]string{
		"Cursor":     `{"client_name":"Cursor","redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://www.cursor.com/agents/mcp/oauth/callback","http://localhost:8787/callback"],"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}`,
		"Inspector":  `{"redirect_uris":["http://127.0.0.1:6276/oauth/callback"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"client_name":"MCP Inspector","client_uri":"https://github.com/modelcontextprotocol/inspector","scope":"chat:read admin"}`,
		"mcp-remote": `{"redirect_uris":["http://localhost:3334/oauth/callback"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"],"response_types":["code"],"client_name":"MCP CLI Proxy","client_uri":"https://github.com/modelcontextprotocol/mcp-cli","software_id":"2e6dc280-f3c3-4e01-99a7-8181dbd1d23d","software_version":"0.15.1"}`,
		"VS Code":    `{"client_name":"Visual Studio Code","redirect_uris":["https://insiders.vscode.dev/redirect","https://vscode.dev/redirect","http://127.0.0.1/","http://127.0.0.1:33418/"],"application_type":"native","token_endpoint_auth_method":"none"}`,
		"ChatGPT":    `{"client_name":"ChatGPT","redirect_uris":["https://chatgpt.com/connector/oauth/Ab-9"],"token_endpoint_auth_method":"client_secret_basic","logo_uri":null,"contacts":null,"jwks":{"keys":[]}}`,
		"the least":  `{"redirect_uris":["https://app.example/cb"]}`,
	} {
		a := l.registration(body)
		if a.status != http.StatusCreated || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		var asked struct {
			Redirects json.RawMessage `json:"redirect_uris"`
		}
		must(t, json.Unmarshal([]byte(body), &asked))
		if got := a.field(t, "redirect_uris"); got != string(asked.Redirects) {
			t.Errorf("%s: redirect_uris %s, want %s", name, got, asked.Redirects)
		}
		if a.field(t, "token_endpoint_auth_method") != "none" || a.field(t, "client_secret") != "" || a.field(t, "client_id") == "" || a.field(t, "client_id_issued_at") == "" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	if !l.audit.has("client.register", "ok") {
		t.Error("no trace in the audit")
	}
}

func TestLine14RegistrationRefusals(t *testing.T) {
	l := newLab(t)
	many := strings.TrimSuffix(strings.Repeat(`"https://app.example/cb",`, maxRedirects+1), ",")
	for body, want := range map[string]string{
		`{"redirect_uris":["javascript:alert(1)"]}`:                                         "invalid_redirect_uri",
		`{"redirect_uris":["https://app.example/cb","data:text/html,x"]}`:                   "invalid_redirect_uri",
		`{"redirect_uris":["http://app.example/cb"]}`:                                       "invalid_redirect_uri",
		`{"redirect_uris":["http://localhost.evil/cb"]}`:                                    "invalid_redirect_uri",
		`{"redirect_uris":["https://app.example/cb#f"]}`:                                    "invalid_redirect_uri",
		`{"redirect_uris":["https://u:p@app.example/cb"]}`:                                  "invalid_redirect_uri",
		`{"redirect_uris":[]}`:                                                              "invalid_redirect_uri",
		`{"redirect_uris":[` + many + `]}`:                                                  "invalid_redirect_uri",
		`{}`:                                                                                "invalid_redirect_uri",
		`{"redirect_uris":"https://app.example/cb"}`:                                        "invalid_client_metadata",
		`{"redirect_uris":["https://app.example/cb"],"client_name":7}`:                      "invalid_client_metadata",
		`{"redirect_uris":["https://app.example/cb"],"grant_types":["client_credentials"]}`: "invalid_client_metadata",
		`{"redirect_uris":["https://app.example/cb"],"response_types":["token"]}`:           "invalid_client_metadata",
		`[]`:   "invalid_client_metadata",
		`null`: "invalid_redirect_uri",
		`{`:    "invalid_client_metadata",
		``:     "invalid_client_metadata",
	} {
		a := l.registration(body)
		t.Log(body)
		wantError(t, a, http.StatusBadRequest, want)
	}
	wantError(t, l.registration(`{"redirect_uris":["https://app.example/cb"],"client_name":"`+strings.Repeat("x", maxBody)+`"}`), http.StatusRequestEntityTooLarge, "invalid_request")
}

func TestLine14UnusedClientsEnd(t *testing.T) {
	l := newLab(t)
	unused, used := l.register(callback), l.register(callback)
	tokens := l.post(tokenPath, trade(used, l.code(ask(used))))
	l.clock.advance(unusedFor)
	wantError(t, l.post(tokenPath, refreshForm(unused, "x")), http.StatusUnauthorized, "invalid_client")
	if a := l.post(tokenPath, refreshForm(used, tokens.field(t, "refresh_token"))); a.status != http.StatusOK {
		t.Errorf("used a day ago: %d %s", a.status, a.body)
	}
	if a := l.browser().authorize(ask(unused)); a.status != http.StatusBadRequest || !strings.Contains(a.body, "not known here") {
		t.Errorf("%d %s", a.status, a.body)
	}
	tokens = l.post(tokenPath, refreshForm(used, tokens.field(t, "refresh_token")))
	l.clock.advance(usedFor - time.Hour) // since the refresh, and so longer since the consent
	if a := l.post(tokenPath, refreshForm(used, tokens.field(t, "refresh_token"))); a.status != http.StatusOK {
		t.Errorf("refreshed within %s: %d %s", usedFor, a.status, a.body)
	}
	must(t, l.server.Load().records.sweepOnce(t.Context()))
	if _, revision := l.options.Store.Get(clientPrefix + unused); revision != 0 {
		t.Error("an ended client is still stored")
	}
	l.clock.advance(usedFor)
	wantError(t, l.post(tokenPath, refreshForm(used, "x")), http.StatusUnauthorized, "invalid_client")
}

func TestLine14ClientsAreBounded(t *testing.T) {
	l := newLab(t)
	rs := l.server.Load().records
	for i := range 5 {
		ends := l.clock.now().Add(time.Duration(10-i) * time.Hour)
		must(t, create(t.Context(), rs, fmt.Sprint(clientPrefix, i), record[client]{heading: heading{Ends: ends}}))
	}
	waitFor(t, func() bool { _, n := rs.soonest(clientPrefix, ""); return n == 5 })
	must(t, rs.makeRoom(t.Context(), clientPrefix, "", 4))
	for i, want := range []bool{true, true, true, false, false} {
		if _, revision := l.options.Store.Get(fmt.Sprint(clientPrefix, i)); (revision != 0) != want {
			t.Errorf("client %d: there is %v, want %v: those that end soonest give way", i, revision != 0, want)
		}
	}
}

// waitFor waits until something holds that another goroutine brings about.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it did not come about")
		}
	}
}

func TestLine26RegistrationCanBeOff(t *testing.T) {
	l := newLab(t, func(o *Options) { o.NoRegistration = true })
	wantError(t, l.registration(`{"redirect_uris":["https://app.example/cb"]}`), http.StatusForbidden, "access_denied")
	a := l.get(serverMetadata)
	if a.field(t, "registration_endpoint") != "" || a.field(t, "client_id_metadata_document_supported") != "true" {
		t.Errorf("%s", a.body)
	}
}
