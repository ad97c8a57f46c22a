package oauth

import (
	"html"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// browser is a person's browser.
type browser struct {
	lab    *lab
	client *http.Client
	origin string // of the server
}

func (l *lab) browser() *browser {
	l.t.Helper()
	jar, err := cookiejar.New(nil)
	must(l.t, err)
	client := noRedirects(l.http.Client())
	client.Jar = jar
	return &browser{l, client, l.http.URL}
}

func (b *browser) open(address string) answer {
	b.lab.t.Helper()
	req, err := http.NewRequestWithContext(b.lab.t.Context(), http.MethodGet, b.origin+address, nil)
	must(b.lab.t, err)
	return send(b.lab.t, b.client, req)
}

var (
	actionForm = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenForm = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	tickedForm = regexp.MustCompile(`name="scope" value="([^"]*)" checked`)
	boxForm    = regexp.MustCompile(`name="scope" value="([^"]*)"`)
)

// matches returns the first group of all matches.
func matches(form *regexp.Regexp, body string) []string {
	var all []string
	for _, m := range form.FindAllStringSubmatch(body, -1) {
		all = append(all, html.UnescapeString(m[1]))
	}
	return all
}

// submit fills the form of a page in, as a browser does.
func (b *browser) submit(page answer, fields url.Values, headers ...string) answer {
	b.lab.t.Helper()
	action := actionForm.FindStringSubmatch(page.body)
	if action == nil {
		b.lab.t.Fatalf("no form in %d: %s", page.status, page.body)
	}
	form := maps.Clone(fields)
	for _, m := range hiddenForm.FindAllStringSubmatch(page.body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	return b.send(html.UnescapeString(action[1]), form, headers...)
}

// send posts a form as browsers do that were told to send no referrer.
func (b *browser) send(address string, form url.Values, headers ...string) answer {
	b.lab.t.Helper()
	req, err := http.NewRequestWithContext(b.lab.t.Context(), http.MethodPost, b.origin+address, strings.NewReader(form.Encode()))
	must(b.lab.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "null")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range pairs(headers) {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	return send(b.lab.t, b.client, req)
}

func (b *browser) authorize(q url.Values) answer {
	b.lab.t.Helper()
	return b.open(authorizePath + "?" + q.Encode())
}

// signIn fills the sign-in page in and returns the consent page.
func (b *browser) signIn(page answer, name string) answer {
	b.lab.t.Helper()
	a := b.submit(page, url.Values{"username": {name}, "password": {password}})
	to, params := a.location(b.lab.t)
	return b.open(to + "?" + params.Encode())
}

// allow ticks what is ticked, or the given scopes, and returns the redirect.
func (b *browser) allow(page answer, scopes ...string) answer {
	b.lab.t.Helper()
	if scopes == nil {
		scopes = matches(tickedForm, page.body)
	}
	return b.submit(page, url.Values{"decision": {"allow"}, "scope": scopes})
}

// code goes through all pages as alice and returns the code.
func (l *lab) code(q url.Values) string {
	l.t.Helper()
	b := l.browser()
	_, params := b.allow(b.signIn(b.authorize(q), "alice")).location(l.t)
	if params.Get("code") == "" {
		l.t.Fatalf("no code: %v", params)
	}
	return params.Get("code")
}
