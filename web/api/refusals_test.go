package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"wigwag/hub"
)

// What is refused, how, and what is said of it. What alice may not see is
// answered as what is not there.
func TestRefusals(t *testing.T) {
	l := newLab(t, nil)
	l.want(t, 201, "", "bob", "POST /api/rooms", `{"name":"secret","private":true}`)
	l.want(t, 201, "", "bob", "POST /api/people/carol/messages", `{"message":"hi"}`)
	hidden := l.want(t, 201, "", "bob", "POST /api/rooms/secret/messages", `{"message":"hidden"}`)
	var m struct{ ID string }
	hidden.into(t, &m)
	long := strings.Repeat("x", hub.MaxText)
	for _, c := range []struct {
		request, body string
		status        int
		says          string
	}{
		{"GET /api/rooms?limit=0", "", 400, `"argument":"limit"`},
		{"GET /api/rooms?limit=101", "", 400, "1 to 100"},
		{"GET /api/rooms?limit=2&limit=3", "", 400, `"argument":"limit"`},
		{"GET /api/rooms?%zz", "", 400, "not well-formed"},
		{"GET /api/rooms/general/messages?since=yesterday", "", 400, `"argument":"since"`},
		{"GET /api/rooms/general/messages?after=0&before=0", "", 400, `"argument":"before"`},
		{"GET /api/rooms/general/messages?after=nonsense", "", 400, `"argument":"after"`},
		{"GET /api/rooms/general/messages?after=other-1", "", 410, `"code":"reset","argument":"after","oldest":"0","reason":"the cursor is of another log"`},
		{"GET /api/rooms/general/messages?before=other-1", "", 410, `"oldest":"0"`},
		{"GET /api/notifications?unread=yes", "", 400, `"argument":"unread"`},
		{"GET /api/notifications?after=other-1", "", 410, `"oldest"`},
		{"GET /api/logs?level=loud", "", 400, `"argument":"level"`},
		{"GET /api/logs?until=x", "", 400, `"argument":"until"`},
		{"GET /api/search", "", 400, `"argument":"q"`},
		{"GET /api/search?q=x&room=general&to=bob", "", 400, `"argument":"to"`},
		{"GET /api/rooms/No%20room", "", 400, `"argument":"room"`},
		{"GET /api/rooms/missing", "", 404, `"code":"not_found","argument":"room"`},
		{"GET /api/rooms/secret", "", 404, `"code":"not_found","argument":"room"`},
		{"GET /api/rooms/secret/messages", "", 404, ""},
		{"GET /api/rooms/secret/members", "", 404, ""},
		{"GET /api/rooms/dm/bob/carol/messages", "", 404, ""},
		{"GET /api/presence?room=secret", "", 404, ""},
		{"GET /api/search?q=hidden&room=secret", "", 404, ""},
		{"GET /api/people/nobody/messages", "", 404, `"argument":"to"`},
		{"GET /api/people/alice/messages", "", 400, "yourself"},
		{"POST /api/rooms/secret/messages", `{"message":"x"}`, 404, ""},
		{"POST /api/rooms/secret/typing", "", 404, ""},
		{"PUT /api/rooms/secret/members/alice", "", 404, ""},
		{"DELETE /api/rooms/secret/members/bob", "", 404, ""},
		{"POST /api/rooms/general/messages", `{}`, 400, `"argument":"message"`},
		{"POST /api/rooms/general/messages", `{"message":"` + long + `x"}`, 400, "at most 65536"},
		{"POST /api/rooms/general/messages", `{"message":"` + strings.Repeat(long, 8) + `"}`, 413, "512 KiB"},
		{"POST /api/rooms/general/messages?room=x", `{"message":"x"}`, 400, "there are no parameters here"},
		{"POST /api/people/bob/messages", `{"message":"x","sender":"bob"}`, 400, "Allowed are message, reply_to"},
		{"POST /api/people/carol/messages", fmt.Sprintf(`{"message":"x","reply_to":%q}`, m.ID), 404, `"argument":"reply_to"`},
		{"POST /api/rooms", `{"name":"dm/alice/bob"}`, 400, `"argument":"room"`},
		{"POST /api/rooms", `{"name":"x","private":true,"invite":["nobody"]}`, 404, `"argument":"invite"`},
		{"POST /api/notifications", `{"message":"x","level":"loud"}`, 400, `"argument":"level"`},
		{"POST /api/notifications", `{"message":"x","to":"nobody"}`, 404, `"argument":"to"`},
		{"POST /api/notifications", `{"message":"x","progress":"half"}`, 400, `"argument":"progress"`},
		{"POST /api/notifications/read", `{"up_to":"nonsense"}`, 400, `"argument":"up_to"`},
		{"POST /api/notifications/read", `{}`, 400, `"argument":"up_to"`},
		{"POST /api/logs", `{"message":"x","level":"loud"}`, 400, `"argument":"level"`},
		{"POST /api/logs", `{"message":"x","fields":[]}`, 400, `"argument":"fields"`},
		{"POST /api/logs", `{"message":"x","fields":` + strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 10), 400, "nested"},
		{"PATCH /api/rooms/general", "", 405, "GET, HEAD"},
		{"DELETE /api/search", "", 405, "GET, HEAD"},
		{"GET /api/rooms/dm/members/zoe", "", 405, "DELETE, PUT"},
		{"POST /api/rooms/general/typing?x=" + long[:1000], "", 400, "no parameters"},
		{"GET /api/rooms?" + strings.Repeat("y", 100) + "=1", "", 400, "after, limit"},
		{"GET /api/rooms/" + strings.Repeat("z", 100) + "/members", "", 400, `"argument":"room"`},
	} {
		a := l.want(t, c.status, c.says, "alice", c.request, c.body)
		if a.header.Get("Content-Type") != "application/problem+json" || strings.Contains(a.body, "hidden") {
			t.Errorf("%s: %v %v", c.request, a.header, a)
		}
	}
	l.want(t, 415, "application/json", "alice", "POST /api/rooms/general/messages", "message=x", "Content-Type: text/plain")
	for _, path := range []string{"/api/rooms/missing", "/api/rooms/missing/messages", "/api/rooms/missing/members"} {
		missing := l.do(t, "alice", "GET "+path, "")
		secret := l.do(t, "alice", "GET "+strings.Replace(path, "missing", "secret", 1), "")
		if strings.ReplaceAll(missing.body, "missing", "secret") != secret.body {
			t.Errorf("what is not there: %v; what may not be seen: %v", missing, secret)
		}
	}
	var found messages
	if l.want(t, 200, "", "alice", "GET /api/search?q=hidden", "").into(t, &found); len(found.Messages) != 0 {
		t.Errorf("found: %+v", found)
	}
	for _, room := range []string{"secret", "dm/bob/carol"} {
		if a := l.want(t, 200, "general", "alice", "GET /api/rooms", ""); strings.Contains(a.body, room) {
			t.Errorf("alice is told of %s: %v", room, a)
		}
	}
}

// With a key nothing is stored twice, whoever is first.
func TestIdempotency(t *testing.T) {
	l := newLab(t, nil)
	const key = "Idempotency-Key: k 1"
	for request, body := range map[string]string{
		"POST /api/rooms/general/messages": `{"message":"once"}`,
		"POST /api/notifications":          `{"message":"once","to":"bob"}`,
		"POST /api/logs":                   `{"message":"once"}`,
	} {
		first := l.want(t, 201, "once", "alice", request, body, key)
		again := l.want(t, 201, "once", "alice", request, body, key)
		if first.body != again.body || first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %v, then %v %v", request, first, again, again.header)
		}
		l.want(t, 409, `"code":"conflict","argument":"idempotency_key"`, "alice", request, strings.Replace(body, "once", "other", 1), key)
		if other := l.want(t, 201, "once", "carol", request, body, key); other.header.Get("Idempotency-Replayed") != "" {
			t.Errorf("%s: another user's key: %v", request, other.header)
		}
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, "Idempotency-Key: "+strings.Repeat("x", 129))
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, "Idempotency-Key: ")
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, "Idempotency-Key: \u00e9")
		l.want(t, 400, `"argument":"idempotency_key"`, "alice", request, body, key, key)
	}
	l.want(t, 409, "idempotency_key", "alice", "POST /api/people/bob/messages", `{"message":"once"}`, key) // elsewhere is something else

	var wg sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		wg.Go(func() {
			answers[i] = l.do(t, "bob", "POST /api/rooms/general/messages", `{"message":"together"}`, "Idempotency-Key: k2")
		})
	}
	wg.Wait()
	fresh := 0
	for _, a := range answers {
		if a.status != 201 || a.body != answers[0].body {
			t.Errorf("%v, and %v", a, answers[0])
		}
		if a.header.Get("Idempotency-Replayed") == "" {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("%d of them were the first", fresh)
	}
	var got messages
	if l.want(t, 200, "", "bob", "GET /api/rooms/general/messages", "").into(t, &got); got.texts() != "once once together" {
		t.Errorf("the room has %q", got.texts())
	}
}
