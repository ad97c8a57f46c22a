package api_test

import (
	"testing"
)

func TestSearch(t *testing.T) {
	l := newLab(t, nil)
	for _, text := range []string{"the Quick fox", "a quick brown dog", "slow"} {
		l.want(t, 201, "", "alice", "POST /api/rooms/general/messages", `{"message":"`+text+`"}`)
	}
	l.want(t, 201, "", "alice", "POST /api/people/bob/messages", `{"message":"quick, in private"}`)
	for user, queries := range map[string]map[string]string{
		"bob": {
			"q=QUICK":                   "quick, in private a quick brown dog the Quick fox",
			"q=quick+dog":               "a quick brown dog",
			"q=quick&limit=1":           "quick, in private",
			"q=quick&to=alice":          "quick, in private",
			"q=quick&room=dm/alice/bob": "quick, in private",
			"q=quick&sender=bob":        "",
		},
		"carol": {"q=quick": "a quick brown dog the Quick fox", "q=private": ""},
	} {
		for query, want := range queries {
			var got messages
			if l.want(t, 200, `"cut":false`, user, "GET /api/search?"+query, "").into(t, &got); got.texts() != want || got.Messages == nil {
				t.Errorf("%s, %s: %+v", user, query, got)
			}
		}
	}
}
