package oauth

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
)

//go:embed templates
var templates embed.FS

// pages are what people see.
type pages struct {
	templates *template.Template
	style     template.CSS
	policy    string // Content-Security-Policy
}

// page is what every page is made of.
type page struct {
	Service string
	Style   template.CSS
	Data    any
}

type errorPage struct {
	Title, Text string
	Back        template.URL // to the client; empty: nowhere
	Where       string       // that is
}

type signInPage struct {
	Action, Proof string
	Client        string
	Name          string // typed in before
	Problem       string // with what was typed in before
}

type consentPage struct {
	Action, Proof string
	Client        string // what it calls itself
	Document      string // host of its metadata document; empty where nobody vouches for the name
	Redirect      string
	Local         bool // it may be any program on the person's machine
	Person        string
	Account       bool   // with all boxes ticked it can do what the person can
	Other         string // address for signing in as somebody else
	Scopes        []scopeBox
	Problem       string
}

type scopeBox struct {
	Name, Means string
	Ticked      bool
}

func loadPages() (*pages, error) {
	all, err := template.ParseFS(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	style, err := templates.ReadFile("templates/style.css")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(style)
	return &pages{
		templates: all,
		style:     template.CSS(style), //nolint:gosec // our own
		// No form-action: browsers hold the redirects that follow a form to it,
		// and those of clients go anywhere, to schemes of their own too.
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'",
	}, nil
}

// headers sets those of every page and of the redirects between them.
func (p *pages) headers(h http.Header) {
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}

// show writes a page.
func (p *pages) show(w http.ResponseWriter, status int, name string, data any) {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, page{service, p.style, data}); err != nil {
		panic(err) // a mistake in a template; each is shown in a test
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // fails only when the client is gone
}
