package hub

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// notificationLife is how long a notification is kept.
const notificationLife = 7 * 24 * time.Hour

// typeNotification is the type of a notification, on the wire and in the log.
const typeNotification = "notification"

// Level says how grave a notification is.
type Level string

// The levels of notifications.
const (
	LevelInfo    Level = "info"
	LevelSuccess Level = "success"
	LevelWarning Level = "warning"
	LevelError   Level = "error"
)

// Notification is a stored notification: the record, and the wire form in every
// surface. It is in the same order as messages.
type Notification struct {
	ID       string `json:"id"` // the cursor
	Level    Level  `json:"level"`
	Title    string `json:"title,omitempty"`
	Message  string `json:"message"`
	To       string `json:"to,omitempty"` // the addressee; empty: everybody
	Sender   Sender `json:"sender"`
	Time     Time   `json:"time"`
	Progress *int   `json:"progress,omitempty"` // 0 to 100
	// Key tells listeners to show this in place of an earlier one of the same
	// sender and key.
	Key string `json:"key,omitempty"`
}

// NotificationDraft is a notification to be sent.
type NotificationDraft struct {
	To       string // a user; empty: everybody
	Level    Level
	Title    string // one line of at most 256 bytes, or empty
	Message  string // 1 to [MaxNotice] bytes of valid UTF-8 without NUL
	Progress *int   // 0 to 100, or nil
	Key      string // 1 to 128 printable ASCII characters, or empty
	// Tool and IdempotencyKey are as in [Draft].
	Tool           string
	IdempotencyKey string
}

// Notify stores a notification for seven days and returns it once the log has
// it. Its addressee and its sender may see it. duplicate is as in [Hub.Send].
func (h *Hub) Notify(ctx context.Context, a Actor, d NotificationDraft) (n Notification, duplicate bool, err error) {
	if err := h.checkNotification(a, d); err != nil {
		return Notification{}, false, err
	}
	subject := allSubject
	if d.To != "" {
		subject = userSubject + d.To
	}
	claim, first, err := h.claim(ctx, a, d.Tool, d.IdempotencyKey, subject, d.payload()...)
	if err != nil {
		return Notification{}, false, err
	}
	if first.Notification != nil {
		return *first.Notification, true, nil
	}
	e, duplicate, err := h.append(ctx, subject, record{
		Type: typeNotification, Sender: sender(a), Level: d.Level, Title: d.Title, Message: d.Message, Progress: d.Progress, Key: d.Key,
	}, notificationLife, claim)
	if err != nil {
		return Notification{}, false, err
	}
	got := e.Notification // with a key, it may be that of an earlier call
	if got == nil || !slices.Equal(got.draft().payload(), d.payload()) {
		return Notification{}, false, errKeyUsed()
	}
	return *got, duplicate, nil
}

// payload is what a notification says.
func (d NotificationDraft) payload() []string {
	progress := ""
	if d.Progress != nil {
		progress = strconv.Itoa(*d.Progress)
	}
	return []string{d.To, string(d.Level), d.Title, d.Message, progress, d.Key}
}

func (n *Notification) draft() NotificationDraft {
	return NotificationDraft{To: n.To, Level: n.Level, Title: n.Title, Message: n.Message, Progress: n.Progress, Key: n.Key}
}

func (h *Hub) checkNotification(a Actor, d NotificationDraft) error {
	if err := h.mayWrite(a); err != nil {
		return err
	}
	switch {
	case d.To != "" && (!validName(d.To) || !h.users.Exists(d.To)):
		return refuse(NotFound, "to", "there is no user %s", quote(d.To))
	case d.Level != LevelInfo && d.Level != LevelSuccess && d.Level != LevelWarning && d.Level != LevelError:
		return refuse(Invalid, "level", `is %s; "info", "success", "warning" and "error" are allowed`, quote(string(d.Level)))
	case d.Progress != nil && (*d.Progress < 0 || *d.Progress > 100):
		return refuse(Invalid, "progress", "is %d; 0 to 100 are allowed", *d.Progress)
	}
	if err := checkTextOf(d.Message, MaxNotice); err != nil {
		return err
	}
	if err := checkLine("title", d.Title, maxTopic); err != nil {
		return err
	}
	if err := checkKey("key", d.Key); err != nil {
		return err
	}
	return checkKey("idempotency_key", d.IdempotencyKey)
}

func (h *Hub) composeNotification(r Record, to string, n record) *Notification {
	return &Notification{
		ID:       h.id(r.Seq),
		Level:    n.Level,
		Title:    n.Title,
		Message:  n.Message,
		To:       to,
		Sender:   n.Sender,
		Time:     timeOf(r.Time),
		Progress: n.Progress,
		Key:      n.Key,
	}
}
