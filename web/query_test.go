package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"wigwag/web/endpoint"
)

// FuzzQuery: whatever is asked, it is understood in full or refused with what
// is allowed.
func FuzzQuery(f *testing.F) {
	f.Add("rooms=a,b&types=message,log&partials=delta&log_level=warn", "")
	f.Add("last_event_id=k3f9-1042", "k3f9-1043")
	f.Add("last_event_id=", "")
	f.Add("types=message&types=log", "")
	f.Add("%zz=1&a;b", "\x00")
	f.Add(strings.Repeat("é", 100)+"=1", "")
	f.Fuzz(func(t *testing.T, raw, header string) {
		r := &http.Request{URL: &url.URL{RawQuery: raw}, Header: http.Header{"Last-Event-Id": {header}}}
		q, err := parseQuery(r)
		if err != nil {
			no, ok := errors.AsType[*endpoint.Problem](err)
			if !ok || no.Status != http.StatusBadRequest || len(no.Detail) > 1000 || !utf8.ValidString(no.Detail) {
				t.Fatalf("%#v", err)
			}
			return
		}
		for _, name := range q.types {
			if !slices.Contains(eventTypes, name) {
				t.Errorf("type %q", name)
			}
		}
		if header != "" && q.after != header {
			t.Errorf("after %q, not the header's %q", q.after, header)
		}
		if q.types == nil && q.kinds() != nil || q.types != nil && q.kinds() == nil {
			t.Errorf("%q became %q", q.types, q.kinds())
		}
	})
}
