package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestFirstForm(t *testing.T) {
	tests := []struct {
		title, page string
		want        *form
		err         bool
	}{
		{title: "none", page: "<!doctype html><html><body><p>Done.</p></body></html>"},
		{title: "no HTML", page: "OK & done"},
		{
			title: "all there is",
			page: `<!doctype html><html lang="en"><head><meta charset="utf-8"><style>a > b { margin: 0 }</style></head><body>
				<input name="outside" value="1"><form method="POST" action="/go?a=1&amp;b=2">
				<input type="hidden" name="proof" value="&lt;x&gt;"><input name="username" value="ann" required>
				<input type="password" name="password"><input type="checkbox" name="box" value="1" checked>
				<input type="checkbox" name="box" value="2"><input type="checkbox" name="box" value="3" checked><input type="submit">
				<button name="decision" value="yes">Yes</button><button name="decision" value="no">No</button></form>
				<form action="/other"></form></body></html>`,
			want: &form{
				method: "post", action: "/go?a=1&b=2", typed: []string{"username", "password"},
				values: url.Values{"proof": {"<x>"}, "username": {"ann"}, "password": {""}, "box": {"1", "3"}, "decision": {"yes"}},
			},
		},
		{title: "the first button has no name", page: `<form><button>Go</button><button name="a" value="1">A</button></form>`, want: &form{values: url.Values{}}},
		{title: "no end", page: `<form method="post">`, err: true},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			got, err := firstForm(tt.page)
			if !reflect.DeepEqual(got, tt.want) || (err != nil) != tt.err {
				t.Errorf("%+v, %v; want %+v, error %t", got, err, tt.want, tt.err)
			}
		})
	}
}

// service has a sign-in form, a redirect and a page at the end.
func service(t *testing.T) *httptest.Server {
	t.Helper()
	page := func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sign-in", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "tab=1")
		page(w, `<form method="post" action="?step=2"><input name="username"><input type="password" name="password"></form>`)
	})
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("tab")
		if err != nil || cookie.Value != "1" || r.Header.Get("Origin") != "null" || r.URL.Query().Get("step") != "2" {
			http.Error(w, "not from the form", http.StatusForbidden)
			return
		}
		if r.FormValue("username") != "ann" || r.FormValue("password") != "secret" {
			page(w, `Wrong. <form method="post"><input name="username"><input type="password" name="password"></form>`)
			return
		}
		http.Redirect(w, r, "/end?code=1", http.StatusSeeOther)
	})
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Origin") != "" {
			t.Errorf("%s with the headers %v after a redirect", r.Method, r.Header)
		}
		fmt.Fprint(w, "You can close this page.")
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/get-form", func(w http.ResponseWriter, _ *http.Request) { page(w, `<form></form>`) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestOpen(t *testing.T) {
	server := service(t)
	ann := Person{Name: "ann", Password: "secret"}
	tests := []struct {
		title, path string
		person      Person
		last, err   string
	}{
		{title: "signs in", path: "/sign-in?state=s", person: ann, last: "/end?code=1"},
		{title: "a wrong password", path: "/sign-in", person: Person{Name: "ann"}, err: "/sign-in: the form came back"},
		{title: "an error", path: "/missing?code=1", person: ann, err: "/missing: 404"},
		{title: "a loop", path: "/loop", person: ann, err: "no end"},
		{title: "a form that is not posted", path: "/get-form", person: ann, err: "method"},
	}
	for _, tt := range tests {
		t.Run(tt.title, func(t *testing.T) {
			last, err := tt.person.Open(t.Context(), server.URL+tt.path)
			switch {
			case tt.err == "" && (err != nil || last.String() != server.URL+tt.last):
				t.Errorf("ended at %v, %v; want %s", last, err, tt.last)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want one with %q", err, tt.err)
			}
		})
	}
}
