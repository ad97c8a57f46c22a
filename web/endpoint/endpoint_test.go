package endpoint_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/web/endpoint"
)

// ask asks a handler of a POST that reads a body of at most 1 KiB.
func ask(t *testing.T, body, contentType string, into any) *httptest.ResponseRecorder {
	t.Helper()
	s := endpoint.Server{Translate: func(error) *endpoint.Problem { return nil }, Logger: slog.New(slog.DiscardHandler)}
	h := s.Handler(endpoint.Methods{"POST": func(w http.ResponseWriter, r *http.Request) error {
		if err := endpoint.ReadJSON(w, r, 1<<10, into); err != nil {
			return err
		}
		endpoint.NoContent(w)
		return nil
	}})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A body is a JSON object within its bounds, or the client is told why not; and
// nothing of it is repeated.
func TestReadJSON(t *testing.T) {
	for name, c := range map[string]struct {
		body, kind string
		status     int
		says       string
	}{
		"good":           {`{"name":"x"}`, "application/json; charset=utf-8", 204, ""},
		"nothing in it":  {` {} `, "application/json", 204, ""},
		"of all depths":  {`{"any":{"name":[{"name":1,"name":2}]},"name":"x"}`, "application/json", 204, ""},
		"a form":         {`name=secret`, "application/x-www-form-urlencoded", 415, "application/json"},
		"no type":        {`{}`, "", 415, "application/json"},
		"nothing":        {``, "application/json", 400, "JSON object"},
		"null":           {`null`, "application/json", 400, "JSON object"},
		"cut off":        {`{"name":"secret"`, "application/json", 400, "JSON object"},
		"two":            {`{"name":"x"}{}`, "application/json", 400, "one JSON object"},
		"a list":         {`["secret"]`, "application/json", 400, "JSON object"},
		"a number":       {`{"name":5}`, "application/json", 400, "name has the wrong type"},
		"unknown":        {`{"secret":1}`, "application/json", 400, "Allowed are name, any"},
		"in other case":  {`{"NAME":"secret"}`, "application/json", 400, "Allowed are name, any"},
		"twice":          {`{"name":"a","name":"secret"}`, "application/json", 400, "name more than once"},
		"escaped, twice": {`{"name":"a","n\u0061me":"secret"}`, "application/json", 400, "name more than once"},
		"not UTF-8":      {"{\"name\":\"secret\xff\"}", "application/json", 400, "UTF-8"},
		"too long":       {`{"name":"` + strings.Repeat("x", 1<<10) + `"}`, "application/json", 413, "1 KiB"},
		"just so long":   {`{"name":"` + strings.Repeat("x", 1<<10-11) + `"}`, "application/json", 204, ""},
	} {
		var in struct {
			Name string         `json:"name"`
			Any  map[string]any `json:"any,omitempty"`
		}
		w := ask(t, c.body, c.kind, &in)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s; want %d", name, w.Code, w.Body, c.status)
		}
	}
}

func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{`{"name":"x"}`, `{"name":"a","n\u0061me":"b"}`, `{"any":[{}]} x`, "\xff", `{"Name":1}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var in struct {
			Name string `json:"name"`
			Any  any    `json:"any"`
		}
		w := ask(t, body, "application/json", &in)
		var members map[string]json.RawMessage
		isObject := json.Unmarshal([]byte(body), &members) == nil && members != nil
		switch w.Code {
		case http.StatusNoContent:
			if delete(members, "name"); isObject {
				delete(members, "any")
			}
			if !isObject || len(members) > 0 {
				t.Errorf("%q is taken", body)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("%q: %d", body, w.Code)
		}
	})
}

func TestHandler(t *testing.T) {
	var log bytes.Buffer
	failure := errors.New("the disk at /data is broken")
	s := endpoint.Server{
		Translate: func(err error) *endpoint.Problem {
			if errors.Is(err, failure) {
				return nil
			}
			return endpoint.FromHub(err)
		},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	var err error
	h := s.Handler(endpoint.Methods{
		"GET": func(w http.ResponseWriter, r *http.Request) error {
			endpoint.WriteTagged(w, r, map[string]string{"text": "<b>"})
			return nil
		},
		"PUT": func(http.ResponseWriter, *http.Request) error { return err },
	})
	do := func(ctx context.Context, method string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, method, "/here", nil)
		for _, h := range headers {
			name, value, _ := strings.Cut(h, ": ")
			r.Header.Add(name, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}

	if w := do(t.Context(), "POST"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD, PUT" {
		t.Errorf("a method that is not there: %d %v", w.Code, w.Header())
	}
	first := do(t.Context(), "GET")
	tag := first.Header().Get("ETag")
	if first.Code != 200 || first.Body.String() != `{"text":"<b>"}`+"\n" || first.Header().Get("Cache-Control") != "private, no-cache" || !strings.HasPrefix(tag, `"`) {
		t.Errorf("GET: %d %s %v", first.Code, first.Body, first.Header())
	}
	if w := do(t.Context(), "HEAD"); w.Code != 200 || w.Header().Get("ETag") != tag {
		t.Errorf("HEAD: %d %v", w.Code, w.Header())
	}
	for given, want := range map[string]int{tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200} {
		if w := do(t.Context(), "GET", "If-None-Match: "+given); w.Code != want || want == 304 && (w.Body.Len() > 0 || w.Header().Get("ETag") != tag) {
			t.Errorf("If-None-Match %s: %d", given, w.Code)
		}
	}
	if w := do(t.Context(), "GET", `If-None-Match: "x"`, "If-None-Match: "+tag); w.Code != 304 {
		t.Errorf("If-None-Match in two lines: %d", w.Code)
	}

	err = &hub.Error{Code: hub.Reset, Arg: "after", Msg: "is old", Oldest: "e-5", Reason: "expired"}
	if w := do(t.Context(), "PUT"); w.Code != 410 || w.Body.String() != `{"title":"Gone","status":410,"detail":"after: is old","code":"reset","argument":"after","oldest":"e-5","reason":"expired"}`+"\n" ||
		w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a problem: %d %s", w.Code, w.Body)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", &log)
	}
	err = failure
	if w := do(t.Context(), "PUT"); w.Code != 500 || strings.Contains(w.Body.String(), "disk") || !strings.Contains(log.String(), "path=/here") || !strings.Contains(log.String(), "disk") {
		t.Errorf("what is internal: %d %s; logged: %s", w.Code, w.Body, &log)
	}
	log.Reset()
	gone, leave := context.WithCancel(t.Context())
	leave()
	if do(gone, "PUT"); log.Len() > 0 {
		t.Errorf("of a client that has gone there is logged: %s", &log)
	}
}

func TestProblems(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		again  bool
	}{
		{endpoint.BadRequest("x"), 400, false},
		{endpoint.Invalid("limit", "is %d", 5), 400, false},
		{&endpoint.Problem{Status: 429, RetryAfter: time.Millisecond}, 429, true},
		{&hub.Error{Code: hub.Invalid}, 400, false},
		{&hub.Error{Code: hub.Forbidden}, 403, false},
		{&hub.Error{Code: hub.NotFound}, 404, false},
		{fmt.Errorf("send: %w", &hub.Error{Code: hub.Conflict}), 409, false},
		{&hub.Error{Code: hub.Reset}, 410, false},
		{&hub.Error{Code: hub.Full}, 503, true},
		{&hub.Error{Code: hub.Full, Arg: "room"}, 409, false},
		{&hub.Error{Code: hub.Unavailable}, 503, true},
		{context.DeadlineExceeded, 503, true},
		{auth.ErrExists, 500, false},
	} {
		s := endpoint.Server{Translate: endpoint.FromHub, Logger: slog.New(slog.DiscardHandler)}
		w := httptest.NewRecorder()
		s.Refuse(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), c.err)
		if w.Code != c.status || (w.Header().Get("Retry-After") != "") != c.again {
			t.Errorf("%v: %d, Retry-After %q", c.err, w.Code, w.Header().Get("Retry-After"))
		}
	}
	for d, want := range map[time.Duration]string{1: "1", time.Second: "1", time.Second + 1: "2", time.Minute: "60"} {
		if got := endpoint.Seconds(d); got != want {
			t.Errorf("%v is %s s", d, got)
		}
	}
	w := httptest.NewRecorder()
	if (&endpoint.Problem{Status: 403, Challenge: `Bearer error="x"`}).Write(w); w.Header().Get("WWW-Authenticate") != `Bearer error="x"` {
		t.Error(w.Header())
	}
}
