package api_test

import (
	"encoding/json"
	"fmt"
	"testing"
)

// Rooms are made, listed in pages, joined and left.
func TestRooms(t *testing.T) {
	l := newLab(t, nil)
	for _, name := range []string{"a", "b", "c"} {
		l.want(t, 201, `"kind":"public"`, "alice", "POST /api/rooms", `{"name":"`+name+`","topic":"T <`+name+`>"}`)
	}
	l.want(t, 200, `"topic":"T <a>"`, "alice", "POST /api/rooms", `{"name":"a"}`)
	var names []string
	for after := ""; ; {
		var page struct {
			Rooms []struct{ Name string }
			Next  string
		}
		l.want(t, 200, "", "bob", "GET /api/rooms?limit=2&after="+after, "").into(t, &page)
		for _, r := range page.Rooms {
			names = append(names, r.Name)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if fmt.Sprint(names) != "[a b c general]" {
		t.Errorf("the rooms are %v", names)
	}

	var invited []string
	for i := range 60 {
		invited = append(invited, fmt.Sprintf("user%02d", i))
	}
	many, _ := json.Marshal(invited)
	l.want(t, 201, `"member_count":61`, "alice", "POST /api/rooms", `{"name":"many","private":true,"invite":`+string(many)+`}`)
	var people struct {
		Members []struct {
			Name   string
			Online bool
		}
		Next string
	}
	l.want(t, 200, "", "alice", "GET /api/rooms/many/members?after=user58", "").into(t, &people)
	if len(people.Members) != 1 || people.Members[0].Name != "user59" || people.Next != "" {
		t.Errorf("%+v", people)
	}
	l.want(t, 200, `{"members":[{"name":"alice","online":true}],"next":"alice"}`, "alice", "GET /api/rooms/many/members?limit=1", "")
	l.want(t, 200, `{"people":[{"name":"bob","online":true},{"name":"carol","online":false}],"next":"carol"}`, "bob", "GET /api/presence?after=alice&limit=2", "")

	l.want(t, 404, "", "bob", "GET /api/rooms/many", "")
	l.want(t, 204, "", "alice", "PUT /api/rooms/many/members/bob", "")
	l.want(t, 204, "", "bob", "PUT /api/rooms/many/members/carol", "")
	l.want(t, 200, "", "carol", "GET /api/rooms/many", "")
	l.want(t, 403, `"code":"forbidden","argument":"user"`, "bob", "DELETE /api/rooms/many/members/carol", "")
	l.want(t, 204, "", "carol", "DELETE /api/rooms/many/members/carol", "")
	l.want(t, 404, "", "carol", "GET /api/rooms/many", "")
	l.want(t, 204, "", "alice", "DELETE /api/rooms/many/members/bob", "")
	l.want(t, 404, "", "bob", "GET /api/rooms/many", "")
}
