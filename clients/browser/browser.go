// Package browser is a person at a browser, for tests: it opens the address
// at which an OAuth client asks for authorization, fills in the forms that
// come, and follows the redirect back to the client.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

const (
	maxPages = 10      // until the person gives up
	maxPage  = 1 << 20 // bytes of a page that are read
	patience = time.Minute
)

// Person is who sits at the browser. They sign in where a form asks for a user
// name and a password, and agree to everything: of each form they press the
// first button, and leave boxes as they are.
type Person struct {
	Name, Password string
}

// Open opens an address in a browser that knows nothing yet, and goes on until
// there is a page without a form, whose address it returns. Every answer that
// is not a page or a redirect is an error.
func (p Person) Open(ctx context.Context, address string) (last *url.URL, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	b := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	next, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for range maxPages {
		at := next.URL
		if next, err = p.visit(b, next); err != nil {
			return nil, fmt.Errorf("%s%s: %w", at.Host, at.Path, err)
		}
		if next == nil {
			return at, nil
		}
	}
	return nil, fmt.Errorf("no end after %d pages", maxPages)
}

// visit sends a request and returns what comes after it, or nil.
func (p Person) visit(b *http.Client, req *http.Request) (next *http.Request, err error) {
	res, err := b.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return nil, err
	}
	switch res.StatusCode {
	case http.StatusFound, http.StatusSeeOther:
		to, err := res.Location()
		if err != nil {
			return nil, err
		}
		return http.NewRequestWithContext(req.Context(), http.MethodGet, to.String(), nil)
	case http.StatusOK:
	default:
		return nil, fmt.Errorf("%s: %s", res.Status, body)
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return nil, nil
	}
	f, err := firstForm(string(body))
	if err != nil || f == nil {
		return nil, err
	}
	return p.submit(req, f)
}

// submit fills a form in and returns the request that a browser then makes
// that was told to send no referrer.
func (p Person) submit(page *http.Request, f *form) (*http.Request, error) {
	if page.Method == http.MethodPost {
		return nil, errors.New("the form came back: what was filled in is not taken")
	}
	if f.method != "post" {
		return nil, fmt.Errorf("a form with the method %q", f.method)
	}
	to, err := page.URL.Parse(f.action)
	if err != nil {
		return nil, err
	}
	f.typeIn(map[string]string{"username": p.Name, "password": p.Password})
	req, err := http.NewRequestWithContext(page.Context(), http.MethodPost, to.String(), strings.NewReader(f.values.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "null")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return req, nil
}
