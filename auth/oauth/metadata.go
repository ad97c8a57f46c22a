package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxDocumentURL = 512 // bytes
	maxDocuments   = 500 // remembered; the ones that end soonest give way
	maxFetches     = 64  // at a time: more than one address may ask for while the slowest take fetchTime
	// How long a document is remembered that says nothing of it, and the bounds
	// of what it may say (RFC 9111, section 5.2.2.1).
	documentAge    = time.Hour
	minDocumentAge = 5 * time.Minute
	maxDocumentAge = 24 * time.Hour
	// failureAge is how long it is remembered that there is no good document.
	failureAge = time.Minute
)

// documentError says why a metadata document is refused. People are told.
type documentError struct{ why string }

func (e *documentError) Error() string { return "the client's metadata document " + e.why }

// isDocumentURL reports whether a client ID is one of those that are URLs, good
// or not.
func isDocumentURL(id string) bool { return strings.Contains(id, "://") }

// checkDocumentURL returns the URL of a metadata document, taken apart (Client
// ID Metadata Documents, section 3).
func checkDocumentURL(id string) (*url.URL, error) {
	const must = "has an ID that cannot be one: it must be https://HOST/PATH, without user name, fragment and . or .. in the path"
	if len(id) > maxDocumentURL || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) {
		return nil, &documentError{must}
	}
	u, err := url.Parse(id)
	if err != nil || u.Scheme != "https" || !webHost.MatchString(u.Host) || u.User != nil || strings.Contains(id, "#") || strings.TrimLeft(u.Path, "/") == "" {
		return nil, &documentError{must}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return nil, &documentError{must}
		}
	}
	return u, nil
}

// parseDocument returns the client that a document at a URL describes.
func parseDocument(id string, body []byte) (client, error) {
	u, err := checkDocumentURL(id)
	if err != nil {
		return client{}, err
	}
	m, err := parseMetadata(body)
	if refused, ok := errors.AsType[*refusal](err); ok {
		return client{}, &documentError{"is refused: " + refused.description}
	}
	if m.ClientID != id {
		return client{}, &documentError{fmt.Sprintf("names another client_id (%s) than its own address; they must be equal", clip(displayName(m.ClientID)))}
	}
	// Without a method it is a public client: a document can hold no secret.
	methods := append(append([]string{m.AuthMethod}, m.AuthMethods...), m.AuthMethodsSupported...)
	if m.AuthMethod != "" && !slices.Contains(methods, "none") {
		return client{}, &documentError{fmt.Sprintf("asks for token_endpoint_auth_method %s and does not list none; this server knows public clients, with none, only", clip(displayName(m.AuthMethod)))}
	}
	return client{ID: id, Name: displayName(m.ClientName), Redirects: m.RedirectURIs, Host: u.Host}, nil
}

// documents fetches the metadata documents of clients and remembers them, and
// for a short while also that there was none.
type documents struct {
	fetcher *fetcher
	now     func() time.Time
	slots   chan struct{} // one per fetch under way

	mu    sync.Mutex
	known map[string]*document // by client ID; guarded by mu
}

// document is a fetch, and what came of it once done is closed.
type document struct {
	done   chan struct{}
	client client
	err    error
	ends   time.Time // guarded by the mu of documents
}

func newDocuments(f *fetcher, now func() time.Time) *documents {
	return &documents{fetcher: f, now: now, slots: make(chan struct{}, maxFetches), known: map[string]*document{}}
}

// client returns the client of an ID that is a URL. Those that ask for the same
// at once share one fetch.
func (d *documents) client(ctx context.Context, id string) (client, error) {
	if _, err := checkDocumentURL(id); err != nil {
		return client{}, err
	}
	doc, isNew := d.document(id)
	if isNew {
		d.fetch(context.WithoutCancel(ctx), id, doc) // bounded by fetchTime
	}
	select {
	case <-doc.done:
		return doc.client, doc.err
	case <-ctx.Done():
		return client{}, ctx.Err()
	}
}

// document returns what is known of id, or a new document to be fetched.
func (d *documents) document(id string) (doc *document, isNew bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if doc, ok := d.known[id]; ok && now.Before(doc.ends) {
		return doc, false
	}
	if _, ok := d.known[id]; !ok && len(d.known) >= maxDocuments {
		d.makeRoomLocked()
	}
	doc = &document{done: make(chan struct{}), ends: now.Add(2 * fetchTime)}
	d.known[id] = doc
	return doc, true
}

func (d *documents) makeRoomLocked() {
	var soonest string
	for id, doc := range d.known {
		if soonest == "" || doc.ends.Before(d.known[soonest].ends) {
			soonest = id
		}
	}
	delete(d.known, soonest)
}

func (d *documents) fetch(ctx context.Context, id string, doc *document) {
	var age time.Duration
	doc.client, age, doc.err = d.get(ctx, id)
	d.mu.Lock()
	doc.ends = d.now().Add(age)
	d.mu.Unlock()
	close(doc.done)
}

func (d *documents) get(ctx context.Context, id string) (c client, age time.Duration, err error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		return client{}, 0, &documentError{"was not fetched: too many are being fetched just now; try again"}
	}
	body, header, err := d.fetcher.get(ctx, id)
	if err != nil {
		return client{}, failureAge, fetchError(err)
	}
	if c, err = parseDocument(id, body); err != nil {
		return client{}, failureAge, err
	}
	return c, cacheFor(header), nil
}

// fetchError says why a fetch failed, in words that tell nothing of what is
// behind a name.
func fetchError(err error) error {
	why := err.Error()
	failed, inTransport := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, errNotPublic):
		why = errNotPublic.Error()
	case inTransport && failed.Timeout():
		why = fmt.Sprintf("it did not come within %s", fetchTime)
	case inTransport:
		why = "its server cannot be reached by https"
	}
	return &documentError{"could not be fetched: " + why}
}

// cacheFor returns how long an answer may be remembered.
func cacheFor(header http.Header) time.Duration {
	age := documentAge
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minDocumentAge
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = time.Duration(seconds) * time.Second
			}
		}
	}
	return min(max(age, minDocumentAge), maxDocumentAge)
}
