package hub

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// FuzzDecode: whatever is in the log, a record is refused or is an event of the
// one kind its subject is for, which encodes; and an error tells nothing of it.
func FuzzDecode(f *testing.F) {
	for _, subject := range []string{"room.general", "room.", "user.bob", "user.", "all", "all.", "lines", ""} {
		for _, data := range []string{
			`{"v":1,"type":"message","sender":{"name":"bob"},"message":"x","rights":3}`,
			`{"v":1,"type":"notification","sender":{"name":"bob"},"level":"info","message":"x","progress":5,"key":"k"}`,
			`{"v":1,"type":"line","level":"info","message":"x","fields":{"a":[1]}}`,
			`{"v":2}`, `null`, `[]`, `"`, `{"v":1,"type":"message","message":"\ud800"}`,
		} {
			f.Add(subject, []byte(data))
		}
	}
	h := &Hub{epoch: "a", linesEpoch: "b"}
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		r := Record{Seq: 1, Time: time.Unix(0, 0), Subject: subject, Data: data}
		e, err := h.decode(r)
		switch {
		case err != nil:
			if e != (Event{}) {
				t.Errorf("an event with the error %v", err)
			}
		case strings.HasPrefix(subject, "room."):
			if e.Message == nil || e.Notification != nil || "room."+e.Message.Room != subject {
				t.Errorf("%q became %+v", subject, e)
			}
		case subject == "all" || strings.HasPrefix(subject, "user."):
			if e.Notification == nil || e.Message != nil || subject != "all" && "user."+e.Notification.To != subject {
				t.Errorf("%q became %+v", subject, e)
			}
		default:
			t.Errorf("subject %q has an event", subject)
		}
		line, err := h.decodeLine(r)
		if err == nil && line.Line.Fields != nil && !json.Valid(line.Line.Fields) {
			t.Errorf("a line's fields are %s", line.Line.Fields)
		}
	})
}
