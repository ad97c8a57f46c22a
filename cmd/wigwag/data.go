package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"wigwag/auth"
	"wigwag/hub"
	"wigwag/store"
)

// dataFolder is the folder to keep everything in: as set, or the user's own.
func dataFolder(set string, env environment) (string, error) {
	if set != "" {
		return filepath.Abs(set)
	}
	if dir := env["XDG_DATA_HOME"]; dir != "" {
		return filepath.Join(dir, "wigwag"), nil
	}
	if home := env["HOME"]; home != "" {
		return filepath.Join(home, ".local", "share", "wigwag"), nil
	}
	return "", errors.New("there is no home folder to keep data in: give --data, or --memory to keep nothing")
}

// kept is the state of a wigwag: what outlives the process.
type kept struct {
	store *store.Store
	users *auth.Users
	keys  *auth.Keys
	creds *auth.Credentials
	audit *auth.AuditLog

	// Of the server that runs on it; zero where none does.
	publicURL string
	signUp    auth.SignUpMode
	hub       *hub.Hub
}

// openKept opens the store and what stands on it. Of the hub's options those
// that are not set come from there.
func openKept(ctx context.Context, o store.Options, ho hub.Options) (*kept, error) {
	st, err := store.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	k := &kept{store: st}
	if err := k.stand(ctx, ho, o.Logger); err != nil {
		return nil, errors.Join(err, k.close())
	}
	return k, nil
}

func (k *kept) stand(ctx context.Context, ho hub.Options, logger *slog.Logger) (err error) {
	k.audit = auth.NewAuditLog(loudLog{k.store.Audit(), logger}, logger)
	if k.users, err = auth.NewUsers(k.store.Bucket(store.Users), k.audit); err != nil {
		return fmt.Errorf("users: %w", err)
	}
	if k.keys, err = auth.LoadKeys(ctx, k.store.Bucket(store.Keys)); err != nil {
		return err
	}
	k.creds = auth.NewCredentials(auth.CredentialsOptions{
		Store: k.store.Bucket(store.Credentials), Users: k.users, Audit: k.audit, Logger: logger,
	})
	if ho.Users == nil {
		ho.Users = k.users
	}
	ho.Log, ho.Lines = k.store.Messages(), k.store.Lines()
	ho.Rooms, ho.Keys = k.store.Bucket(store.Rooms), k.store.Bucket(store.Idempotency)
	ho.Marks = k.store.Bucket(store.Marks)
	ho.Ready, ho.Logger, ho.Trail = k.store.Ready, logger, roomTrail{k.audit}
	k.hub, err = hub.New(ctx, ho)
	return err
}

// loudLog is the audit's log, of which the program's own log hears, too: where
// that is gathered from many servers, so is the audit.
type loudLog struct {
	*store.Log
	logger *slog.Logger
}

// Append implements [auth.Log].
func (l loudLog) Append(ctx context.Context, e auth.LogEntry) (auth.LogRecord, error) {
	l.logger.LogAttrs(ctx, slog.LevelInfo, "audit", slog.Any("event", json.RawMessage(e.Data)))
	return l.Log.Append(ctx, e)
}

// roomTrail is the audit's part of what happens in the hub.
type roomTrail struct{ audit auth.Audit }

// RoomChanged implements [hub.Trail].
func (t roomTrail) RoomChanged(ctx context.Context, a hub.Actor, c hub.RoomChange) {
	e := auth.Event{Action: "room." + c.What, Actor: a.Name, Target: c.Room}
	if c.User != "" {
		e.Target, e.Detail = c.User, c.Room
	}
	t.audit.Record(ctx, e)
}

// RoomMissed implements [hub.Trail]. That somebody looks for rooms is worth
// remembering, whether they are there or not.
func (t roomTrail) RoomMissed(a hub.Actor, room string, there bool) {
	why := "there is no such room"
	if there {
		why = "not a member"
	}
	t.audit.Record(context.Background(), auth.Event{Action: "room", Actor: a.Name, Client: a.Via, Target: room, Outcome: "refused", Detail: why})
}

// secretSize is the size of a [kept.secret], in bytes.
const secretSize = 32

// secret returns the random bytes kept under a name. They are made once: of
// several that do so at the same time all return the same.
func (k *kept) secret(ctx context.Context, name string) ([]byte, error) {
	keys, key := k.store.Bucket(store.Keys), "secret/"+name // auth's have no slash
	for {
		value, revision := keys.Get(key)
		switch {
		case len(value) == secretSize:
			return bytes.Clone(value), nil
		case revision != 0:
			return nil, fmt.Errorf("the secret %q is damaged: it has %d bytes instead of %d", name, len(value), secretSize)
		}
		made := make([]byte, secretSize)
		_, _ = rand.Read(made) // never fails
		// Whether it was stored or another one was: Get tells, soon.
		if _, err := keys.Put(ctx, key, made, 0); err != nil {
			return nil, fmt.Errorf("store the secret %q: %w", name, err)
		}
	}
}

// close ends everything, the store last.
func (k *kept) close() error {
	if k.hub != nil {
		k.hub.Close()
	}
	if k.creds != nil {
		k.creds.Close()
	}
	return k.store.Close()
}
