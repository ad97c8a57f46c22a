package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Levels of a [Finding].
const (
	LevelOK   = "ok"
	LevelWarn = "warn" // it works, but should be looked at
	LevelFail = "fail" // it does not work, or something is lost
)

// Finding is what one check of a data folder found.
type Finding struct {
	Check string `json:"check"`
	Level string `json:"level"`
	Text  string `json:"text"`
	Do    string `json:"do,omitempty"` // what to do about it
}

// clockSlack is how far in the future a record may be.
const clockSlack = time.Minute

// InspectFolder looks at a data folder from outside, without changing it, and
// tells whether a server has it open. What is in it a server that runs tells
// itself ([Store.Inspect]); otherwise see [InspectCopy].
func InspectFolder(dir string) (found []Finding, running bool) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return []Finding{{"folder", LevelFail, fmt.Sprintf("there is no data folder %s", dir), "name another with --data, or start the server, which makes it"}}, false
	}
	found = append(found, Finding{"folder", LevelOK, dir, ""}, permissions(dir, info))
	running = isLocked(filepath.Join(dir, lockName))
	var about about
	data, err := os.ReadFile(filepath.Join(dir, aboutName)) //nolint:gosec // the operator names the folder
	if err == nil {
		err = json.Unmarshal(data, &about)
	}
	const restore = "restore a backup into another folder"
	switch {
	case err != nil:
		found = append(found, Finding{"version", LevelFail, fmt.Sprintf("it cannot be told what the folder is: %v", err), restore})
	case about.Format > format:
		found = append(found, Finding{"version", LevelFail, fmt.Sprintf("it is of format %d, and this wigwag knows formats up to %d", about.Format, format), "use the wigwag that wrote it, or a newer one"})
	default:
		found = append(found, Finding{"version", LevelOK, fmt.Sprintf("format %d", about.Format), ""})
	}
	switch {
	case running:
		found = append(found, Finding{"server", LevelOK, "a server runs on it", ""})
	case about.Running == SyncInterval:
		found = append(found, Finding{"server", LevelWarn, "none runs on it, and the last one was not ended properly; it ran with --sync=interval, so the last second may be missing", "start it: cursors given out before will get a reset"})
	case about.Running != "":
		found = append(found, Finding{"server", LevelOK, "none runs on it; the last one was not ended properly, which loses nothing", ""})
	default:
		found = append(found, Finding{"server", LevelOK, "none runs on it; the last one was ended properly", ""})
	}
	return found, running
}

func permissions(dir string, info fs.FileInfo) Finding {
	if runtime.GOOS == "windows" { // has none of the kind
		return Finding{"permissions", LevelOK, "as the folder inherits them", ""}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Finding{"permissions", LevelFail, fmt.Sprintf("others may come into the folder: its mode is %#o", mode), "chmod 0700 " + dir}
	}
	for _, name := range []string{aboutName, headsName, lockName, "admin.sock"} {
		if info, err := os.Lstat(filepath.Join(dir, name)); err == nil && info.Mode().Perm()&0o077 != 0 {
			return Finding{"permissions", LevelWarn, fmt.Sprintf("the mode of %s is %#o", name, info.Mode().Perm()), "chmod 0600 " + filepath.Join(dir, name)}
		}
	}
	return Finding{"permissions", LevelOK, "only its owner may come in", ""}
}

// InspectDisk tells whether there is space for what a store may grow to.
func InspectDisk(dir string, minFree int64) Finding {
	free, err := freeSpace(dir)
	switch {
	case err != nil:
		return Finding{"disk", LevelWarn, fmt.Sprintf("it cannot be found out how much is free: %v", err), ""}
	case free <= minFree:
		return Finding{"disk", LevelFail, fmt.Sprintf("%s are free, which is not above the reserve of %s (--min-free): sends are refused", mib(free), mib(minFree)), "make room on the disk"}
	case free-minFree < 1<<30:
		return Finding{"disk", LevelWarn, fmt.Sprintf("%s are free; at %s (--min-free) sends are refused", mib(free), mib(minFree)), "make room on the disk"}
	}
	return Finding{"disk", LevelOK, fmt.Sprintf("%s are free", mib(free)), ""}
}

// Inspect looks at an open store.
func (st *Store) Inspect(ctx context.Context) []Finding {
	var found []Finding
	for _, s := range st.streams {
		found = append(found, s.inspect(ctx, true))
	}
	if st.folder != nil {
		st.room.mu.Lock()
		reserve := st.room.reserve
		st.room.mu.Unlock()
		found = append(found, InspectDisk(st.folder.path, reserve))
	}
	if err := st.Ready(); err != nil {
		found = append(found, Finding{"writing", LevelFail, err.Error(), "look at the disk, and at what the server logs"})
	}
	return append(found, st.clock(ctx))
}

// inspect compares what the leader has with what is known of the stream, and
// with its bound if that is known.
func (s *stream) inspect(ctx context.Context, bounded bool) Finding {
	known := s.feed.limit() // before the leader is asked, who may be further by then
	js, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return Finding{s.name, LevelFail, fmt.Sprintf("it does not answer: %v", err), "look at the disk, and at what the server logs"}
	}
	state := js.CachedInfo().State
	text := fmt.Sprintf("%d records", state.Msgs)
	if state.Msgs > 0 {
		text += fmt.Sprintf(", %d to %d", state.FirstSeq, state.LastSeq)
	}
	size := int64(state.Bytes) //nolint:gosec // of a disk
	text += ", " + mib(size)
	if bounded {
		text += " of " + mib(s.maxBytes)
	}
	switch {
	case state.LastSeq < known && !s.journal:
		return Finding{s.name, LevelFail, fmt.Sprintf("%s; it had come to %d: its end is lost", text, known), "restore a backup into another folder, or go on without"}
	case bounded && !s.evict && size > s.maxBytes/10*9:
		return Finding{s.name, LevelWarn, text + ": nearly full", "messages are bounded by --max-store, and by --keep"}
	}
	return Finding{s.name, LevelOK, text, ""}
}

// clock compares the newest message with the time.
func (st *Store) clock(ctx context.Context) Finding {
	now := time.Now().UTC()
	newest, err := st.messages.Read(ctx, Range{Limit: 1, Latest: true})
	if err != nil {
		return Finding{"clock", LevelFail, fmt.Sprintf("messages cannot be read: %v", err), "look at the disk, and at what the server logs"}
	}
	if len(newest) > 0 && newest[0].Time.After(now.Add(clockSlack)) {
		return Finding{"clock", LevelWarn, fmt.Sprintf("the newest message is of %s, and it is %s", newest[0].Time.Format(time.RFC3339), now.Format(time.RFC3339)), "set the clock: what ends by its age ends at the wrong time"}
	}
	return Finding{"clock", LevelOK, now.Format(time.RFC3339), ""}
}

// InspectCopy looks at what is in a data folder that no server has open: it
// opens a copy, made in a temporary folder, as the server would the original,
// and reads every record. The folder itself stays as it is.
func InspectCopy(ctx context.Context, dir string) (found []Finding) {
	fail := func(err error, do string) []Finding {
		return append(found, Finding{"contents", LevelFail, err.Error(), do})
	}
	temporary, err := os.MkdirTemp("", "wigwag-doctor-")
	if err != nil {
		return fail(err, "set TMPDIR to a folder that can be written")
	}
	defer func() {
		if err := os.RemoveAll(temporary); err != nil {
			found = append(found, Finding{"contents", LevelWarn, err.Error(), "remove " + temporary})
		}
	}()
	size, err := sizeOf(dir)
	if err != nil {
		return fail(err, "run it as the owner of the folder")
	}
	if free, err := freeSpace(temporary); err == nil && free-DefaultMinFree < size {
		return append(found, Finding{"contents", LevelWarn, fmt.Sprintf("not looked at: for a copy %s are needed in %s, and %s are free", mib(size), filepath.Dir(temporary), mib(free)), "set TMPDIR to a folder with more space"})
	}
	copied := filepath.Join(temporary, "data")
	if err := copyFolder(ctx, dir, copied); err != nil {
		return fail(err, "run it as the owner of the folder")
	}
	var told complaints
	if err := distrustIndexes(copied, true, slog.New(&told)); err != nil {
		return fail(err, "run it as the owner of the folder")
	}
	st, err := Open(ctx, Options{Dir: copied, Sync: SyncInterval, Logger: slog.New(&told)})
	if err != nil {
		return fail(errors.New(strings.ReplaceAll(err.Error(), copied, dir)), "restore a backup into another folder")
	}
	defer func() {
		if err := st.Close(); err != nil {
			found = append(found, Finding{"contents", LevelWarn, err.Error(), ""})
		}
	}()
	for _, s := range st.streams {
		f := s.inspect(ctx, false)
		if unread := s.unreadable(ctx); unread != nil && f.Level != LevelFail {
			f.Level, f.Text, f.Do = LevelFail, f.Text+": "+unread.Error(), "restore a backup into another folder, or go on without"
		}
		found = append(found, f)
	}
	for _, text := range told.texts() {
		found = append(found, Finding{"contents", LevelFail, text, "restore a backup into another folder, or go on without what is lost"})
	}
	return append(found, InspectDisk(dir, DefaultMinFree), st.clock(ctx))
}

// unreadable reads a whole stream and compares with how much there should be.
func (s *stream) unreadable(ctx context.Context) error {
	js, err := s.js.Stream(ctx, s.name)
	if err != nil {
		return err
	}
	state, read := js.CachedInfo().State, uint64(0)
	err = s.scan(ctx, nil, cmp.Or(state.FirstSeq, 1), state.LastSeq, pageSize{records: readPage}, func(Record) bool {
		read++
		return true
	})
	if err == nil && read < state.Msgs && s.maxAge == 0 {
		err = fmt.Errorf("%d cannot be read", state.Msgs-read)
	}
	return err
}

// complaints is a slog.Handler that keeps what is an error.
type complaints struct {
	mu   sync.Mutex
	told []string
}

func (c *complaints) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}

func (c *complaints) Handle(_ context.Context, r slog.Record) error {
	var b bytes.Buffer
	b.WriteString(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		_, _ = fmt.Fprintf(&b, "; %s: %v", a.Key, a.Value) // never fails
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, b.String())
	return nil
}

func (c *complaints) WithAttrs([]slog.Attr) slog.Handler { return c }
func (c *complaints) WithGroup(string) slog.Handler      { return c }

func (c *complaints) texts() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told
}

func sizeOf(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// copyFolder copies the files of a folder.
func copyFolder(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case !d.Type().IsRegular(): // admin.sock
			return nil
		}
		in, err := os.Open(name) //nolint:gosec // of the folder
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.OpenFile(filepath.Join(to, rel), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // of the copy
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
}

// mib tells bytes in MiB.
func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
