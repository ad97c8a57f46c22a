package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// newLogin has alice, whose password is "password-a".
func newLogin(t *testing.T, f *fakeHashes) (http.Handler, *Tokens, *logBuffer) {
	t.Helper()
	users, _ := newTestUsers(t, f)
	tokens := newTokensOf(t, users, keysOf(t, newKey(t)))
	logger, logs := newLogger()
	return Login(LoginOptions{Users: users, Tokens: tokens, Logger: logger}), tokens, logs
}

func post(t *testing.T, h http.Handler, body string) response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/login", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return do(h, r)
}

const good = `{"username": "alice", "password": "password-a"}`

func TestLogin(t *testing.T) {
	h, tokens, logs := newLogin(t, &fakeHashes{})
	res := post(t, h, good)
	var got map[string]any
	if err := json.Unmarshal([]byte(res.body), &got); err != nil {
		t.Fatal(err)
	}
	token, _ := got["token"].(string)
	if res.status != 200 || len(got) != 4 || got["token_type"] != "Bearer" || got["expires_in"] != 3600.0 {
		t.Errorf("status %d, %v", res.status, got)
	}
	if res.header.Get("Content-Type") != "application/json" || res.header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", res.header)
	}
	refresh, _ := got["refresh_token"].(string)
	if issued, err := tokens.Refresh(t.Context(), refresh, Refresh{}); err != nil || issued.Identity.Subject != "alice" {
		t.Errorf("refreshed: %+v, %v", issued.Identity, err)
	}
	if id, err := tokens.Verify(t.Context(), token); err != nil || id.Subject != "alice" || id.Client != "" {
		t.Errorf("%+v, %v", id, err)
	}
	if out := logs.String(); strings.Contains(out, "password-a") || strings.Contains(out, token) || strings.Contains(out, refresh[:52]) || strings.Contains(out, refresh[53:]) || !strings.Contains(out, "user=alice") {
		t.Errorf("log: %s", out)
	}
}

func TestLoginRefusesRequests(t *testing.T) {
	var f fakeHashes
	h, _, _ := newLogin(t, &f)
	object := `The body must be {"username": "…", "password": "…"}.`
	for name, tc := range map[string]struct {
		method, contentType, body string
		status                    int
		detail                    string
	}{
		"GET":               {method: "GET", status: 405, detail: "POST"},
		"OPTIONS":           {method: "OPTIONS", status: 405},
		"DELETE":            {method: "DELETE", status: 405},
		"form":              {contentType: "application/x-www-form-urlencoded", body: "username=alice&password=password-a", status: 415, detail: "application/json"},
		"multipart":         {contentType: "multipart/form-data; boundary=x", body: good, status: 415},
		"text":              {contentType: "text/plain", body: good, status: 415},
		"text, and JSON":    {contentType: "text/plain; application/json", body: good, status: 415},
		"JSON's kin":        {contentType: "application/jsonp", body: good, status: 415},
		"no type":           {contentType: "-", body: good, status: 415},
		"charset":           {contentType: "Application/JSON; charset=utf-8", body: good, status: 200},
		"empty":             {body: "", status: 400, detail: object},
		"null":              {body: "null", status: 400, detail: object},
		"array":             {body: "[" + good + "]", status: 400, detail: object},
		"cut":               {body: good[:20], status: 400, detail: object},
		"two":               {body: good + good, status: 400, detail: object},
		"no password":       {body: `{"username": "alice"}`, status: 400, detail: "missing"},
		"no username":       {body: `{"password": "password-a"}`, status: 400, detail: "missing"},
		"password null":     {body: `{"username": "alice", "password": null}`, status: 400, detail: "missing"},
		"password a number": {body: `{"username": "alice", "password": 12345678}`, status: 400, detail: "must be strings"},
		"unknown field":     {body: `{"username": "alice", "password": "password-a", "otp": "1"}`, status: 400, detail: `Unknown field "otp"`},
		"other case":        {body: `{"Username": "alice", "password": "password-a"}`, status: 400, detail: `Unknown field "Username"`},
		"not UTF-8":         {body: "{\"username\": \"alice\", \"password\": \"password-\xff\"}", status: 400, detail: "UTF-8"},
		"16 KiB":            {body: good + strings.Repeat(" ", maxLoginBody-len(good)), status: 200},
		"over 16 KiB":       {body: good + strings.Repeat(" ", maxLoginBody-len(good)+1), status: 413, detail: "16 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.checked.Load()
			r := httptest.NewRequestWithContext(t.Context(), or(tc.method, "POST"), "/api/login", strings.NewReader(tc.body))
			if tc.contentType != "-" {
				r.Header.Set("Content-Type", or(tc.contentType, "application/json"))
			}
			res := do(h, r)
			if res.status != tc.status {
				t.Fatalf("status %d, want %d", res.status, tc.status)
			}
			if tc.status == 200 {
				return
			}
			detail := problemDetail(t, res)
			if !strings.Contains(detail, tc.detail) || strings.Contains(detail, "password-a") || strings.Contains(detail, "1234") {
				t.Errorf("detail %q, want %q", detail, tc.detail)
			}
			if (tc.status == 405) != (res.header.Get("Allow") == "POST") {
				t.Errorf("Allow = %q", res.header.Get("Allow"))
			}
			if f.checked.Load() != before {
				t.Error("a password was checked")
			}
		})
	}
}

func or(s, other string) string {
	if s != "" {
		return s
	}
	return other
}

// A user who is disabled is answered like nobody; the log knows the name.
func TestLoginOfADisabledUser(t *testing.T) {
	h, tokens, logs := newLogin(t, &fakeHashes{})
	wrong := post(t, h, `{"username": "mallory", "password": "password-a"}`)
	if err := tokens.users.SetDisabled(t.Context(), "alice", true); err != nil {
		t.Fatal(err)
	}
	res := post(t, h, good)
	if res.status != 401 || res.body != wrong.body || fmt.Sprint(res.header) != fmt.Sprint(wrong.header) {
		t.Errorf("%+v, not %+v", res, wrong)
	}
	if out := logs.String(); !strings.Contains(out, "user=alice") || strings.Contains(out, "mallory") {
		t.Errorf("log: %s", out)
	}
}

// The whole answer is the same, header and body.
func TestAuth22OneAnswerForBoth(t *testing.T) {
	h, _, logs := newLogin(t, &fakeHashes{})
	var answers []string
	for _, name := range []string{"alice", "mallory", "anonymous", "", "my-secret-in-the-wrong-field"} {
		res := post(t, h, fmt.Sprintf(`{"username": %q, "password": "wrong-password"}`, name))
		if res.status != 401 || res.header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%q: status %d, header %v", name, res.status, res.header)
		}
		answers = append(answers, fmt.Sprint(res.header)+problemDetail(t, res))
		if answers[len(answers)-1] != answers[0] {
			t.Errorf("%q: %s, not %s", name, answers[len(answers)-1], answers[0])
		}
	}
	out := logs.String()
	for _, secret := range []string{"wrong-password", "my-secret", "mallory"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	if !strings.Contains(out, "user=alice") || !strings.Contains(out, "wrong username or password") || !strings.Contains(out, "remote=192.0.2.1") {
		t.Errorf("the log does not say who and why: %s", out)
	}
}

func TestAuth23LoginIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, _ := newLogin(t, &fakeHashes{})
		for i := range 8 {
			res := post(t, h, `{"username": "alice", "password": "wrong-password"}`)
			if i < 5 {
				if res.status != 401 {
					t.Errorf("attempt %d: status %d", i+1, res.status)
				}
				continue
			}
			if detail := problemDetail(t, res); res.status != 429 || res.header.Get("Retry-After") != "1" || !strings.Contains(detail, "in 1 s") {
				t.Errorf("attempt %d: status %d, Retry-After %q, %q", i+1, res.status, res.header.Get("Retry-After"), detail)
			}
		}
		if res := post(t, h, good); res.status != 429 {
			t.Errorf("right password: status %d", res.status)
		}
		pass(500 * time.Millisecond)
		if res := post(t, h, good); res.status != 429 || res.header.Get("Retry-After") != "1" {
			t.Errorf("half a second later: status %d, Retry-After %q", res.status, res.header.Get("Retry-After"))
		}
		pass(500 * time.Millisecond)
		if res := post(t, h, good); res.status != 200 {
			t.Errorf("after Retry-After: status %d", res.status)
		}
	})
}

// The address is the connection's unless the caller knows better; headers that
// anybody can write do not count.
func TestAuth23AddressOfLogin(t *testing.T) {
	users, _ := newTestUsers(t, &fakeHashes{})
	tokens := newTokens(t, newKey(t))
	logger, _ := newLogger()
	behindProxy := func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-Forwarded-For")) }
	for i, tc := range []struct {
		remoteAddr func(*http.Request) netip.Addr
		want       int
	}{{nil, 429}, {behindProxy, 401}} {
		h := Login(LoginOptions{Users: users, Tokens: tokens, Logger: logger, RemoteAddr: tc.remoteAddr})
		status := 0
		for j := range 6 {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/login", strings.NewReader(`{"username": "alice", "password": "wrong-password"}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-Forwarded-For", address(10*i+j).String())
			r.RemoteAddr = fmt.Sprintf("192.0.2.7:%d", 1000+j)
			status = do(h, r).status
		}
		if status != tc.want {
			t.Errorf("sixth attempt: status %d, want %d", status, tc.want)
		}
	}
	for remote, want := range map[string]string{
		"192.0.2.7:1": "192.0.2.7", "[2001:db8::1]:1": "2001:db8::1", "@": "invalid IP", "": "invalid IP",
	} {
		if got := connectionAddr(&http.Request{RemoteAddr: remote}).String(); got != want {
			t.Errorf("RemoteAddr %q: %s", remote, got)
		}
	}
}

func TestLoginWhenBusyOrBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		users, store := newTestUsers(t, &fakeHashes{})
		logger, logs := newLogger()
		h := Login(LoginOptions{Users: users, Tokens: newTokens(t, newKey(t)), Logger: logger})

		for range maxHashes {
			if err := users.hasher.acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		res := post(t, h, good)
		if problemDetail(t, res); res.status != 503 || res.header.Get("Retry-After") != "5" || time.Since(begin) != hashWait {
			t.Errorf("busy: status %d after %v", res.status, time.Since(begin))
		}
		for range maxHashes {
			users.hasher.release()
		}

		_, revision := store.Get("alice")
		if ok, err := store.Put(t.Context(), "alice", []byte(`{"version":1,"generation":"g","password_hash":"secret"}`), revision); !ok || err != nil {
			t.Fatal(ok, err)
		}
		res = post(t, h, good)
		if detail := problemDetail(t, res); res.status != 500 || strings.Contains(detail, "hash") {
			t.Errorf("broken: status %d, %q", res.status, detail)
		}
		if out := logs.String(); !strings.Contains(out, "level=ERROR") || strings.Contains(out, "secret") {
			t.Errorf("log: %s", out)
		}
	})
}

// On a real connection: reading the body is bounded, checking the password is
// not bounded by what was left of that.
func TestLoginOverTheNetwork(t *testing.T) {
	h, _, _ := newLogin(t, &fakeHashes{})
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)

	conn := dial(t, srv)
	if _, err := io.WriteString(conn, "POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"+
		strings.Repeat(" ", maxLoginBody+1)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413 ") {
		t.Errorf("long body: %q, %v", answer, err)
	}

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/api/login", strings.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %d", res.StatusCode)
	}
}

func FuzzParseLogin(f *testing.F) {
	for _, s := range []string{good, "", "null", "{}", "[]", `{"username":1}`, `{"username":"a","username":"b","password":"c"}`, "{\"username\":\"\xff\"}"} {
		f.Add([]byte(s))
	}
	parse := func(body []byte) (username, password string, err error) {
		req, err := parseLogin(body, true)
		if req.Username != nil && req.Password != nil {
			username, password = *req.Username, *req.Password
		}
		return username, password, err
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		username, password, err := parse(body)
		if err != nil {
			bad, ok := errors.AsType[*problem](err)
			if !ok || bad.status != 400 || username != "" || password != "" || len(bad.detail) > 1000 {
				t.Errorf("%q: %v with %q, %q", body, err, username, password)
			}
			return
		}
		again, err := json.Marshal(map[string]string{"username": username, "password": password})
		if err != nil {
			t.Fatal(err)
		}
		if u, p, err := parse(again); u != username || p != password || err != nil {
			t.Errorf("%q: %q, %q; again %q, %q, %v", body, username, password, u, p, err)
		}
	})
}

// deadlines records what its connection's read deadline is set to.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// The body has to arrive in time; once it is here, the bound is lifted.
func TestLoginBodyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, _ := newLogin(t, &fakeHashes{})
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/api/login", strings.NewReader(good))
		r.Header.Set("Content-Type", "application/json")
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		want := []time.Time{time.Now().Add(10 * time.Second), {}}
		if !slices.EqualFunc(w.set, want, time.Time.Equal) {
			t.Errorf("deadlines %v, want %v", w.set, want)
		}
	})
}
