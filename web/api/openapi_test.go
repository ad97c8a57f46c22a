package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wigwag/auth"
	"wigwag/hub"
)

// document is openapi.json.
type document struct {
	t    *testing.T
	root map[string]any
}

func readDocument(t *testing.T) document {
	t.Helper()
	text, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	d := document{t: t}
	if err := json.Unmarshal(text, &d.root); err != nil {
		t.Fatal(err)
	}
	return d
}

// at follows names, and references on the way; nil: there is no such thing.
func (d document) at(v any, names ...string) any {
	for {
		members, ok := v.(map[string]any)
		ref, isRef := members["$ref"].(string)
		switch {
		case isRef:
			v = d.at(d.root, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			if v == nil {
				d.t.Fatalf("there is no %s", ref)
			}
		case len(names) == 0:
			return v
		case !ok:
			return nil
		default:
			v, names = members[names[0]], names[1:]
		}
	}
}

func (d document) members(v any, names ...string) map[string]any {
	members, _ := d.at(v, names...).(map[string]any)
	return members
}

func (d document) list(v any, names ...string) []any {
	list, _ := d.at(v, names...).([]any)
	return list
}

// methods are the operations at a path.
func (d document) methods(path string) []string {
	var found []string
	for name := range d.members(d.root, "paths", path) {
		if name != "parameters" {
			found = append(found, strings.ToUpper(name))
		}
	}
	slices.Sort(found)
	return found
}

// parameters are the names of those of an operation that are in the query.
func (d document) parameters(operation any) []string {
	var names []string
	for _, p := range d.list(operation, "parameters") {
		if d.at(p, "in") == "query" {
			names = append(names, d.at(p, "name").(string))
		}
	}
	return names
}

// misfit says why a value is not what a schema says; empty: it is.
func (d document) misfit(schema, value any) string {
	if any, ok := d.at(schema, "oneOf").([]any); ok {
		for _, one := range any {
			if d.misfit(one, value) == "" {
				return ""
			}
		}
		return fmt.Sprintf("%v is none of those it may be", value)
	}
	if want := d.at(schema, "const"); want != nil && want != value {
		return fmt.Sprintf("%v is not %v", value, want)
	}
	if of := d.list(schema, "enum"); of != nil && !slices.Contains(of, value) {
		return fmt.Sprintf("%v is not of %v", value, of)
	}
	kinds := map[string]reflect.Kind{
		"object": reflect.Map, "array": reflect.Slice, "string": reflect.String, "boolean": reflect.Bool, "integer": reflect.Float64,
	}
	kind, _ := d.at(schema, "type").(string)
	if want, ok := kinds[kind]; ok && reflect.ValueOf(value).Kind() != want {
		return fmt.Sprintf("%v is no %s", value, kind)
	}
	switch value := value.(type) {
	case string:
		if pattern, ok := d.at(schema, "pattern").(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
			return fmt.Sprintf("%q does not match %s", value, pattern)
		}
		if d.at(schema, "format") == "date-time" {
			if _, err := time.Parse(time.RFC3339, value); err != nil {
				return err.Error()
			}
		}
	case []any:
		for i, item := range value {
			if why := d.misfit(d.at(schema, "items"), item); why != "" {
				return fmt.Sprintf("%d: %s", i, why)
			}
		}
	case map[string]any:
		properties := d.members(schema, "properties")
		for _, name := range d.list(schema, "required") {
			if _, ok := value[name.(string)]; !ok {
				return fmt.Sprintf("%v is missing", name)
			}
		}
		for name, member := range value {
			if properties == nil {
				break // of any members
			}
			if properties[name] == nil {
				return "there is no " + name
			}
			if why := d.misfit(properties[name], member); why != "" {
				return name + ": " + why
			}
		}
	}
	return ""
}

// pathOf is a pattern of the handlers as the document writes it.
func pathOf(pattern string) string {
	return regexp.MustCompile(`\{(\w+):(?:[^{}])*\}`).ReplaceAllString(pattern, "{$1}")
}

// The document has what the handlers have: paths, methods, parameters, members
// and scopes. Its examples work, and what they are answered with is as it says.
func TestOpenAPI(t *testing.T) {
	d := readDocument(t)
	l := newLab(t, nil)
	if _, _, err := l.hub.OpenRoom(t.Context(), hub.Actor{Name: "alice"}, hub.RoomSpec{Name: "plans", Private: true, Invite: []string{"bob"}}); err != nil {
		t.Fatal(err)
	}
	l.want(t, 201, "", "bob", "POST /api/rooms/plans/messages", `{"message":"Hello, you"}`)
	var notified struct{ ID string }
	l.want(t, 201, "", "bob", "POST /api/notifications", `{"message":"x","to":"alice"}`).into(t, &notified)
	fill := strings.NewReplacer("/api/people/{user}", "/api/people/bob", "{room}", "plans", "{user}", "bob")

	patterns := slices.SortedFunc(maps.Keys(l.api.Handlers()), func(a, b string) int { return len(b) - len(a) })
	for _, pattern := range patterns {
		path := pathOf(pattern)
		at := fill.Replace(path)
		methods := d.methods(path)
		allowed := strings.Split(strings.ReplaceAll(l.do(t, "alice", "BREW "+at, "").header.Get("Allow"), ", HEAD", ""), ", ")
		if !slices.Equal(methods, allowed) {
			t.Errorf("%s is described with %v, not %v", path, methods, allowed)
			continue
		}
		for _, method := range methods {
			operation := d.at(d.root, "paths", path, strings.ToLower(method))
			d.checkOperation(l, method+" "+at, operation, notified.ID)
		}
	}
}

// checkOperation makes the request of an operation, and others.
func (d document) checkOperation(l *lab, request string, operation any, notification string) {
	t := d.t
	t.Helper()
	security := d.list(operation, "security")
	scope := fmt.Sprint(d.list(security[0], "bearer")...)
	needed, _ := auth.ParseScopes(scope)
	if a := l.as(t, auth.Identity{Subject: "alice"}, request, strings.NewReader("")); a.status != 403 || a.header.Get("WWW-Authenticate") != "Bearer scope="+needed.String() {
		t.Errorf("%s, without scopes: %v %v", request, a, a.header)
	}

	names := d.parameters(operation)
	says := "allowed are " + strings.Join(names, ", ") + `"`
	if len(names) == 0 {
		says = "there are no parameters here"
	}
	l.want(t, 400, says, "alice", request+"?nonsense=1", "")

	example := ""
	if schema := d.at(operation, "requestBody", "content", "application/json", "schema"); schema != nil {
		a := l.want(t, 400, "", "alice", request, `{"nonsense":1}`)
		_, list, _ := strings.Cut(a.body, "Allowed are ")
		list, _, _ = strings.Cut(list, ".")
		members := slices.Sorted(maps.Keys(d.members(schema, "properties")))
		if allowed := strings.Split(list, ", "); !slices.Equal(slices.Sorted(slices.Values(allowed)), members) {
			t.Errorf("%s takes %v, and is described with %v", request, allowed, members)
		}
		given := d.at(operation, "requestBody", "content", "application/json", "example")
		if why := d.misfit(schema, given); why != "" {
			t.Errorf("%s: the example: %s", request, why)
		}
		if _, ok := given.(map[string]any)["up_to"]; ok {
			given.(map[string]any)["up_to"] = notification // an ID of this server
		}
		b, _ := json.Marshal(given)
		example = string(b)
	} else if text, ok := d.at(operation, "requestBody", "content", "text/plain", "example").(string); ok {
		example = text
	}
	var headers []string
	if example != "" && !strings.HasPrefix(example, "{") {
		headers = append(headers, "Content-Type: text/plain")
	}
	if strings.Contains(request, "/search") {
		request += "?q=hello"
	}
	if strings.HasSuffix(request, "/members/bob") { // who is a member already
		request = strings.Replace(request, "bob", map[bool]string{true: "carol", false: "bob"}[strings.HasPrefix(request, "PUT")], 1)
	}
	d.checkAnswer(request, operation, l.do(t, "alice", request, example, headers...))
	if d.at(operation, "responses", "201", "headers", "Idempotency-Replayed") != nil {
		key := append(headers, "Idempotency-Key: "+request)
		l.do(t, "alice", request, example, key...)
		again := l.do(t, "alice", request, example, key...)
		if again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: with a key again: %v %v", request, again, again.header)
		}
		d.checkAnswer(request, operation, again)
	}
	tag := l.do(t, "alice", request, example, headers...).header.Get("ETag")
	if described := d.at(operation, "responses", "200", "headers", "ETag") != nil; described != (tag != "") {
		t.Errorf("%s: the ETag is %q", request, tag)
	} else if described {
		d.checkAnswer(request, operation, l.do(t, "alice", request, "", "If-None-Match: "+tag))
	}
}

// checkAnswer looks whether an answer is as the operation describes it.
func (d document) checkAnswer(request string, operation any, a answer) {
	d.t.Helper()
	response := d.at(operation, "responses", fmt.Sprint(a.status))
	if response == nil || a.status >= 400 {
		d.t.Errorf("%s: %v is not described", request, a)
		return
	}
	schema := d.at(response, "content", "application/json", "schema")
	if (schema == nil) != (a.body == "") {
		d.t.Errorf("%s: a body: %v", request, a)
	}
	if schema == nil {
		return
	}
	var value any
	a.into(d.t, &value)
	if why := d.misfit(schema, value); why != "" {
		d.t.Errorf("%s: %s: %v", request, why, a)
	}
}

// The document is served to everybody, as it is.
func TestDescription(t *testing.T) {
	l := newLab(t, nil)
	w := httptest.NewRecorder()
	l.api.Description().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/api/openapi.json", nil))
	var served map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &served); err != nil || !reflect.DeepEqual(served, readDocument(t).root) {
		t.Errorf("%d, %v", w.Code, err)
	}
	// Every refusal is a problem as it is described there.
	d := readDocument(t)
	schema := d.at(d.root, "components", "schemas", "Problem")
	for _, request := range []string{"GET /api/rooms/missing", "GET /api/rooms/general/messages?after=other-1", "GET /api/rooms?x=1"} {
		var value any
		l.do(t, "alice", request, "").into(t, &value)
		if why := d.misfit(schema, value); why != "" {
			t.Errorf("%s: %s: %v", request, why, value)
		}
	}
}
