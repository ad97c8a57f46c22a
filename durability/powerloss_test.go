//go:build linux

package durability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestPowerLoss starts the program on images of a data folder that was written
// to: as it is, with its newest file cut off, and with a file missing. The
// program may refuse, but must say what is wrong; or it may lack the end, but
// then no cursor of before may lead anywhere.
func TestPowerLoss(t *testing.T) {
	r := random(t)
	o := record(t)
	t.Run("copied while running", func(t *testing.T) { o.try(t, o.live, false) })
	t.Run("as it was", func(t *testing.T) { o.try(t, clone(t, o.image, true), true) })
	t.Run("moved to another disk", func(t *testing.T) { o.try(t, clone(t, o.image, false), false) })
	for i := range 6 {
		t.Run(fmt.Sprintf("cut off %d", i), func(t *testing.T) {
			dir := clone(t, o.image, i%2 == 0)
			name := cutOff(t, r, dir, i < 4)
			o.try(t, dir, false).expectLoss(t, name)
		})
	}
	for _, name := range files(t, o.image) {
		t.Run("without "+name, func(t *testing.T) {
			dir := clone(t, o.image, true)
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			s := o.try(t, dir, false)
			if isLog(name) && size(t, filepath.Join(o.image, name)) > 0 {
				s.expectLoss(t, name)
			}
		})
	}
}

// expectLoss checks that the server says so when something of a log is lost:
// as an error in its log, or as why it does not run.
func (s *server) expectLoss(t *testing.T, name string) {
	t.Helper()
	log := filepath.Base(filepath.Dir(filepath.Dir(name))) // of LOG/msgs/1.blk
	for line := range strings.Lines(s.Logs()) {
		logged := strings.Contains(line, `"level":"ERROR"`) && strings.Contains(line, fmt.Sprintf(`"log":%q`, log))
		if refused := strings.HasPrefix(line, "wigwag: ") && strings.Contains(line, " of "+log+" "); logged || refused {
			t.Log(strings.TrimSpace(line))
			return
		}
	}
	t.Errorf("nothing is said of what %s lacks:\n%s", log, s.Logs())
}

func isLog(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".blk" || ext == ".log"
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// original is a server that was written to, and images of its folder.
type original struct {
	live  string    // copied while it was written to
	image string    // copied in one moment, as a crash leaves it
	known int       // messages that had been acknowledged by then
	all   []message // all there were in the end: the first known, and some more
}

// record writes to a server and takes the images.
func record(t *testing.T) *original {
	t.Helper()
	o := &original{live: filepath.Join(t.TempDir(), "live"), image: filepath.Join(t.TempDir(), "image")}
	dir := t.TempDir()
	s := start(t, "--data", dir)
	user := s.as("admin", password)
	ids := make([]string, 0, 600)
	some := func(n int) {
		for range n {
			ids = append(ids, user.send(t, "general", fmt.Sprintf("message %d", len(ids))))
		}
	}
	if out, code := wigwag(t, password, "user", "add", "carol", "--password-stdin", "--data", dir); code != 0 {
		t.Fatal(out)
	}
	user.open(t, "engine-room", true)
	user.do(t, "send_message", map[string]any{"room": "engine-room", "message": "with a key", "idempotency_key": "1"}, new(any))
	user.do(t, "write_log", map[string]any{"level": "info", "message": "a line"}, new(any))
	some(200)
	var group sync.WaitGroup
	group.Go(func() { copyFolder(t, dir, o.live) })
	some(200) // while the folder is copied
	group.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer group.Wait()
	defer cancel()
	group.Go(func() { // writes at the moment of the crash
		for n := 0; ctx.Err() == nil; n++ {
			var sent message
			_ = user.call(ctx, "send_message", map[string]any{"message": fmt.Sprintf("more %d", n)}, &sent)
		}
	})
	pause(ctx)
	s.Signal(syscall.SIGSTOP)
	copyFolder(t, dir, o.image)
	s.Signal(syscall.SIGCONT)
	cancel()
	group.Wait()
	o.all = user.history(t, "general")
	o.known = len(ids)
	for i, id := range ids {
		if o.all[i].ID != id {
			t.Fatalf("message %d is %v, and was acknowledged as %s", i, o.all[i], id)
		}
	}
	s.Kill()
	return o
}

// try starts the program on a folder. whole is whether nothing may be missing.
func (o *original) try(t *testing.T, dir string, whole bool) *server {
	t.Helper()
	s, listens := launch(t, "--data", dir)
	if !listens {
		said := s.Logs()
		t.Logf("refused: %s", strings.TrimSpace(said))
		if s.Code <= 0 || whole || !strings.Contains(said, "data folder "+dir) || !strings.Contains(said, "damaged") {
			t.Errorf("it ended with %d:\n%s", s.Code, said)
		}
		return s
	}
	user, err := login(t.Context(), s.URL, "admin", password)
	if err != nil {
		t.Fatalf("the admin cannot log in: %v", err)
	}
	there := user.history(t, "general")
	kept := len(there)
	if kept > len(o.all) {
		t.Fatalf("there are %d messages, and %d were sent", kept, len(o.all))
	}
	probe := user.send(t, "general", "after the crash")
	before, _ := place(t, o.all[0].ID)
	epoch, _ := place(t, probe)
	for i, m := range there {
		in, seq := place(t, m.ID)
		_, was := place(t, o.all[i].ID)
		if m.Message != o.all[i].Message || seq != was || in != epoch {
			t.Fatalf("message %d is %v, and was %v; the epoch is %s", i, m, o.all[i], epoch)
		}
	}
	t.Logf("kept %d messages, of %d acknowledged; same epoch: %t", kept, o.known, epoch == before)
	if whole && (kept < o.known || epoch != before) {
		t.Errorf("%d of %d acknowledged messages are there, the epoch was %s and is %s", kept, o.known, before, epoch)
	}
	if kept < o.known {
		if epoch == before {
			t.Errorf("%d of %d acknowledged messages are there, but the epoch is the same", kept, o.known)
		}
		if !strings.Contains(s.Logs(), `"level":"ERROR"`) && !strings.Contains(s.Logs(), `"level":"WARN"`) {
			t.Errorf("%d of %d acknowledged messages are there, and the log does not speak of it:\n%s", kept, o.known, s.Logs())
		}
	}
	if epoch != before {
		user.lost(t, o.all[o.known-1].ID)
	}
	s.as("carol", password).mayNotRead(t, "engine-room")
	_, head := place(t, probe)
	user.lost(t, fmt.Sprintf("%s-%d", epoch, head+1000))
	s.stop()
	return s
}

// mayNotRead checks that a private room of others stays closed, even where it
// might have been forgotten that it is one.
func (c *client) mayNotRead(t *testing.T, room string) {
	t.Helper()
	_ = c.call(t.Context(), "open_room", map[string]any{"room": room}, new(any)) // refused, or what follows is
	var page struct{ Messages []message }
	err := c.call(t.Context(), "read_messages", map[string]any{"room": room, "after": "0"}, &page)
	if err == nil && len(page.Messages) > 0 {
		t.Errorf("who is no member of %s reads %v there", room, page.Messages)
	}
}

// lost checks that a cursor leads nowhere, and that the client is told where to
// begin.
func (c *client) lost(t *testing.T, cursor string) {
	t.Helper()
	var reset struct{ Oldest, Reason string }
	ev := c.await(t, cursor, "reset")
	if err := json.Unmarshal([]byte(ev.data), &reset); err != nil || reset.Oldest == "" || reset.Reason == "" || ev.id == "" {
		t.Errorf("the reset after %s is %+v (%v)", cursor, ev, err)
	}
	var page any
	err := c.call(t.Context(), "read_messages", map[string]any{"room": "general", "after": cursor}, &page)
	if err == nil || !strings.Contains(err.Error(), "oldest") || !strings.Contains(err.Error(), reset.Oldest) {
		t.Errorf("read_messages after %s: %v; the oldest cursor is %s", cursor, err, reset.Oldest)
	}
	c.do(t, "read_messages", map[string]any{"room": "general", "after": reset.Oldest}, &page)
}

// files are the paths of all regular files of a folder, within it.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// clone copies an image. On the same disk the program is to take it for the
// folder it has written, as after a crash, and not for a copy: so the number of
// the lock's file, by which it knows, is brought up to date.
func clone(t *testing.T, image string, sameDisk bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	copyFolder(t, image, dir)
	if !sameDisk {
		return dir
	}
	info, err := os.Stat(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "store.json")
	text, err := os.ReadFile(name) //nolint:gosec // a copy that this test has made
	if err != nil {
		t.Fatal(err)
	}
	var about map[string]any
	if err := json.Unmarshal(text, &about); err != nil {
		t.Fatal(err)
	}
	about["lock_id"] = info.Sys().(*syscall.Stat_t).Ino
	if text, err = json.Marshal(about); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// copyFolder copies the regular files of a folder. Of one that is being written
// to, a file may go away.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, name); {
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case entry.Type().IsRegular():
			text, err := os.ReadFile(path) //nolint:gosec // walked to
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			return os.WriteFile(target, text, 0o600) //nolint:gosec // in a folder of this test
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// cutOff truncates a log that is not empty at a random byte, that of the
// messages or any, and returns its name.
func cutOff(t *testing.T, r *rand.Rand, dir string, messages bool) string {
	t.Helper()
	logs := slices.DeleteFunc(files(t, dir), func(name string) bool {
		return !isLog(name) || size(t, filepath.Join(dir, name)) == 0 || messages && !strings.Contains(name, "/messages/")
	})
	if len(logs) == 0 {
		t.Fatal("there is no log in the folder")
	}
	name := logs[r.IntN(len(logs))]
	if messages {
		name = logs[len(logs)-1] // the newest
	}
	path := filepath.Join(dir, name)
	was := size(t, path)
	at := r.Int64N(was)
	t.Logf("%s ends at %d of %d", name, at, was)
	if err := os.Truncate(path, at); err != nil {
		t.Fatal(err)
	}
	return name
}
