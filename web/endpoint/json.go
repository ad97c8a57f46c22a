package endpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// bodyTime is how long a body may take to arrive.
const bodyTime = 15 * time.Second

// ReadJSON reads a body of at most so many bytes, a JSON object, into what into
// points to: a struct whose fields all have a name in a json tag. A member that
// is not one of them, in the same case, is refused, and one that is there twice.
//
// Its errors are problems that never quote the body, in which there may be
// secrets; or what the UnmarshalText of a field's type has returned.
func ReadJSON(w http.ResponseWriter, r *http.Request, most int64, into any) error {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return &Problem{Status: http.StatusUnsupportedMediaType, Detail: `Send JSON, with "Content-Type: application/json".`}
	}
	body, err := ReadBody(w, r, most)
	if err != nil {
		return err
	}
	switch {
	case !utf8.Valid(body):
		return BadRequest("The body is not valid UTF-8.")
	case !json.Valid(body):
		return BadRequest("The body is not one JSON object.")
	}
	if err := checkMembers(body, members(into)); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // where a field takes anything, numbers stay as they are
	err = decoder.Decode(into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		p := BadRequest(wrong.Field + " has the wrong type.")
		p.Argument = wrong.Field
		return p
	}
	return err
}

// members are the names that ReadJSON takes.
func members(into any) (names []string) {
	for field := range reflect.TypeOf(into).Elem().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// checkMembers looks at the members of valid JSON. encoding/json takes them in
// any case, and of several with one name the last: others read them otherwise.
func checkMembers(body []byte, allowed []string) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return BadRequest("The body is not a JSON object.")
	}
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		switch {
		case err != nil || !ok:
			return BadRequest("The body is not a JSON object.") // it was valid, so this is not reached
		case !slices.Contains(allowed, name):
			return BadRequest("The body has a member that is not known here. Allowed are " + strings.Join(allowed, ", ") + ".")
		case seen[name]:
			return BadRequest("The body has " + name + " more than once.")
		}
		seen[name] = true
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return BadRequest("The body is not a JSON object.") // as above
		}
	}
	return nil
}

// ReadBody reads a body within bounds of size and time. A problem that the body
// itself ends with is returned as it is.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	// Not every ResponseWriter has a connection; one without needs no bound.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	_ = conn.SetReadDeadline(time.Time{})
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return nil, &Problem{Status: http.StatusRequestEntityTooLarge, Detail: fmt.Sprintf("The body is longer than %d KiB.", most>>10)}
	}
	if own, ok := errors.AsType[*Problem](err); ok {
		return nil, own
	}
	if err != nil {
		return nil, BadRequest("The body did not arrive in whole.")
	}
	return body, nil
}

// WriteJSON answers with v, which must always encode, and which is for nobody
// to keep.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v)) // fails only when the client is gone
}

// WriteTagged answers a GET with v, which must always encode; or with 304, if it
// is what the client has already (RFC 9110, section 13.1.2).
func WriteTagged(w http.ResponseWriter, r *http.Request, v any) {
	body := encode(v)
	sum := sha256.Sum256(body)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // fails only when the client is gone
}

func matches(ifNoneMatch []string, tag string) bool {
	for given := range strings.SplitSeq(strings.Join(ifNoneMatch, ","), ",") {
		given = strings.TrimSpace(given)
		if given == "*" || strings.TrimPrefix(given, "W/") == tag {
			return true
		}
	}
	return false
}

// NoContent answers that it is done.
func NoContent(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

// encode writes text as it is: no answer is ever taken for HTML, by its type and
// "nosniff".
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // a mistake in the program; every answer is given in a test
	}
	return b.Bytes()
}
