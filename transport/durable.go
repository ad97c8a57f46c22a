package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// SessionStore keeps sessions beyond the life of the process, and shows each of
// its nodes those of the others. Keys are session IDs, values are at most
// 64 KiB. A value's revision is above 0 and rises with every change in the
// store.
//
// An error may have a method Full() bool: that there is no room left.
type SessionStore interface {
	// Get returns a value, which must not be modified, and its revision; nil
	// and 0 when there is none. It never waits.
	Get(key string) (value []byte, revision uint64)
	// Put stores a value if the key has the given revision, 0 for none, and
	// tells whether it had. It returns once Get sees it.
	Put(ctx context.Context, key string, value []byte, revision uint64) (bool, error)
	// Delete removes a key if it has the given revision, and tells whether it
	// had.
	Delete(ctx context.Context, key string, revision uint64) (bool, error)
	// Watch calls fn with all there is before it returns, and then with every
	// change, a nil value for a deletion, one at a time, until stop is called.
	Watch(fn func(key string, value []byte, revision uint64)) (stop func())
}

const (
	storeTimeout = 5 * time.Second
	// usedPrecision divides the idle time: how exactly it is kept when a session
	// was last used.
	usedPrecision = 24
)

// keptSession is a session as it is kept, in version 1.
type keptSession struct {
	Version       int                    `json:"v"`
	Node          string                 `json:"node"` // the process that wrote it
	User          string                 `json:"user"`
	Key           string                 `json:"key"`
	Protocol      string                 `json:"protocol"`
	Level         mcp.LoggingLevel       `json:"level"`
	Info          mcp.Implementation     `json:"info"`
	Capabilities  mcp.ClientCapabilities `json:"capabilities"`
	Subscriptions []string               `json:"subscriptions,omitempty"`
	Used          time.Time              `json:"used"`
}

const keptVersion = 1

// keeping is what a session knows of its being kept.
type keeping struct {
	mu   sync.Mutex // held while it is saved, so that an older state never comes after a newer one
	used time.Time  // as saved last
	gone bool       // it has been removed: it is not to come back
}

// changesSession are the methods after which a session is saved.
func changesSession(method string) bool {
	switch mcp.MCPMethod(method) {
	case mcp.MethodSetLogLevel, mcp.MethodResourcesSubscribe, mcp.MethodResourcesUnsubscribe:
		return true
	default:
		return false
	}
}

// save keeps the session as it is now. A session of HTTP+SSE lives as long as
// its connection and is not kept.
func (t *sessions) save(ctx context.Context, sess *session) error {
	if t.store == nil || sess.sse {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	sess.kept.mu.Lock()
	defer sess.kept.mu.Unlock()
	if sess.kept.gone {
		return nil
	}
	value, used, err := sess.encode()
	if err != nil {
		return err
	}
	for range 3 { // another node may be saving it too
		_, revision := t.store.Get(sess.id)
		ok, err := t.store.Put(ctx, sess.id, value, revision)
		if err != nil {
			return fmt.Errorf("keeping a session: %w", err)
		}
		if ok {
			sess.kept.used = used
			return nil
		}
	}
	return errors.New("keeping a session: it changed again and again")
}

// begun saves a new session. Where there is no room for it, it is one that ends
// with the process: reading goes on when the disk is full.
func (t *sessions) begun(ctx context.Context, sess *session) error {
	err := t.save(ctx, sess)
	var full interface{ Full() bool }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &full) && full.Full():
		t.srv.log.LogAttrs(ctx, slog.LevelWarn, "a session will end with this process", slog.Any("error", err))
		return nil
	default:
		t.srv.log.LogAttrs(ctx, slog.LevelError, "a session cannot be kept", slog.Any("error", err))
		return busy(RefusedSessions, "the session could not be stored")
	}
}

// changed saves a session that has changed. It goes on if that fails: the
// change holds as long as the process.
func (t *sessions) changed(ctx context.Context, sess *session) {
	if err := t.save(ctx, sess); err != nil {
		t.srv.log.LogAttrs(ctx, slog.LevelWarn, "a change of a session ends with this process", slog.Any("error", err))
	}
}

// forget removes a session from the store.
func (t *sessions) forget(sess *session) {
	if t.store == nil || sess.sse {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	sess.kept.mu.Lock()
	defer sess.kept.mu.Unlock()
	sess.kept.gone = true
	var err error
	for range 3 {
		_, revision := t.store.Get(sess.id)
		if revision == 0 {
			return
		}
		var ok bool
		if ok, err = t.store.Delete(ctx, sess.id, revision); ok {
			return
		}
	}
	t.srv.log.LogAttrs(ctx, slog.LevelWarn, "a session that has ended is still kept, until it has been idle for long", slog.Any("error", err))
}

// saveUsed saves those sessions whose time of last use is kept too wrongly.
func (t *sessions) saveUsed(ctx context.Context) {
	for _, sess := range t.all() {
		used := sess.lastUsed()
		sess.kept.mu.Lock()
		stale := used.Sub(sess.kept.used) > t.srv.limits.SessionIdle/usedPrecision
		sess.kept.mu.Unlock()
		if stale && ctx.Err() == nil {
			t.changed(ctx, sess)
		}
	}
}

func (sess *session) encode() (value []byte, used time.Time, err error) {
	used = sess.lastUsed()
	kept := keptSession{
		Version: keptVersion, Node: sess.srv.sessions.node, User: sess.owner.User, Key: sess.owner.Key, Protocol: sess.ProtocolVersion(), Level: sess.GetLogLevel(),
		Info: sess.GetClientInfo(), Capabilities: sess.GetClientCapabilities(), Subscriptions: sess.srv.subs.of(sess), Used: used,
	}
	value, err = json.Marshal(kept)
	return value, used, err
}

// apply takes over what the store has of a session: one that an earlier process
// or another node began, changed or ended.
func (t *sessions) apply(id string, value []byte, _ uint64) {
	t.mu.Lock()
	sess := t.byID[id]
	t.mu.Unlock()
	if value == nil {
		if sess != nil && !sess.sse {
			t.drop(sess)
		}
		return
	}
	var kept keptSession
	if err := json.Unmarshal(value, &kept); err != nil || kept.Version != keptVersion {
		t.srv.log.LogAttrs(context.Background(), slog.LevelWarn, "a kept session cannot be read", slog.Int("version", kept.Version), slog.Any("error", err))
		return
	}
	if kept.Node == t.node {
		return // it may have changed since
	}
	if sess != nil {
		sess.take(kept)
		return
	}
	sess = newSession(t.srv, id, Owner{User: kept.User, Key: kept.Key}, false)
	sess.restored = true
	sess.take(kept)
	t.mu.Lock()
	t.enterLocked(sess)
	t.mu.Unlock()
	if err := t.srv.mcp.RegisterSession(context.Background(), sess); err != nil {
		t.srv.log.LogAttrs(context.Background(), slog.LevelError, "a kept session cannot be registered", slog.Any("error", err))
	}
}

// take makes the session what the store says.
func (sess *session) take(kept keptSession) {
	p := sess.peer
	p.stateMu.Lock()
	p.initialized, p.version, p.level, p.info, p.caps = true, kept.Protocol, kept.Level, kept.Info, kept.Capabilities
	p.stateMu.Unlock()
	sess.srv.subs.set(sess, kept.Subscriptions)
	sess.mu.Lock()
	defer sess.mu.Unlock()
	if kept.Used.After(sess.used) || sess.restored {
		sess.used = kept.Used
	}
}
