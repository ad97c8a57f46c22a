package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"wigwag/transport/sse"
)

// TestDiskFull takes the room on the server's disk and gives it back, again and
// again, while clients of every kind go on: sends fail clearly and can be
// repeated, reading goes on, and nothing that was acknowledged is lost. The disk
// is a small one of its own where the system lets us mount it; a bound on the
// size of files, which fails every write, works everywhere.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("no write succeeds", func(t *testing.T) {
		t.Parallel()
		newRun(t).fillDisk(limited)
	})
	for name, args := range map[string][]string{
		"all but what is to be left free":   {"--min-free", fmt.Sprint(32 << 20)},
		"small disk, full to the last byte": {"--min-free", "1"},
	} {
		dir, err := smallDisk(t)
		if err != nil {
			t.Logf("%s: not here: %v", name, err)
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRun(t)
			r.server.args = append(append(r.server.args, "--data", filepath.Join(dir, "data")), args...)
			r.fillDisk(func(*run) disk { return ballast(filepath.Join(dir, "ballast")) })
		})
	}
}

// disk is the room on one.
type disk struct {
	take, give func() error
}

func (r *run) fillDisk(of func(*run) disk) {
	r.t.Helper()
	r.goOn(func() {
		d := of(r)
		end := time.Now().Add(*lasts / 2)
		for round := 0; round < 2 || time.Now().Before(end); round++ {
			wait(r.t.Context(), 300*time.Millisecond)
			r.fullOnce(d, fmt.Sprint("round ", round))
		}
	})
}

// fullOnce takes all room, until that is felt, and gives it back.
func (r *run) fullOnce(d disk, name string) {
	t := r.t
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w := &writer{client: r.client(name, modern)}
	r.sends(w, "with room on the disk", name+" begins")
	if err := d.take(); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ { // a little may still fit
		text := fmt.Sprint(name, " with no room, ", n)
		var sent struct{ ID string }
		got := w.tool(ctx, "send_message", object{"message": text}, 0, &sent)
		if got.outcome == answered {
			r.record(func(h *history) {
				h.sends = append(h.sends, send{writer: name, n: w.sent, room: rooms[0], text: text, tries: 1, id: sent.ID})
			})
			w.sent++
			continue
		}
		if got.outcome != refused || !strings.Contains(got.detail, "storage") {
			t.Errorf("with no room on the disk a send is %s: %s", got.outcome, got.detail)
		}
		break
	}
	page, err := w.read(ctx, rooms[0])
	if err != nil || len(page) == 0 {
		t.Errorf("with no room on the disk, %d messages are read: %v", len(page), err)
	}
	listener, heard := r.client(name+" listens", ""), 0
	for heard < len(page) && ctx.Err() == nil {
		heard = 0
		listener.events(ctx, "/events", "0", func(ev sse.Event) bool {
			if ev.Name == "message" && strings.Contains(string(ev.Data), `"room":"`+rooms[0]+`"`) {
				heard++
			}
			return heard < len(page)
		})
	}
	if heard < len(page) {
		t.Errorf("with no room on the disk, a listener hears %d of %d messages", heard, len(page))
	}
	if err := d.give(); err != nil {
		t.Fatal(err)
	}
	r.sends(w, "with room on the disk again", name+" ends")
}

// sends sends a message in half a minute.
func (r *run) sends(w *writer, when, text string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience/4)
	defer cancel()
	if w.send(ctx, rooms[0], text); ctx.Err() != nil {
		r.t.Fatalf("%s no send works:\n%s", when, r.server.process().Logs())
	}
}

// limited makes every write to a file fail: the system refuses to let it grow
// (with EFBIG; Go programs ignore the signal that goes with it).
func limited(r *run) disk {
	set := func(limit uint64) func() error {
		return func() error {
			both := syscall.Rlimit{Cur: limit, Max: math.MaxUint64}
			_, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(r.server.process().Pid), rlimitFSize,
				uintptr(unsafe.Pointer(&both)), 0, 0, 0) //nolint:gosec // as the system call has it
			if errno != 0 {
				return errno
			}
			return nil
		}
	}
	return disk{take: set(0), give: set(math.MaxUint64)}
}

const rlimitFSize = 1 // RLIMIT_FSIZE of getrlimit(2)

// smallDisk mounts one. It is gone with the test.
func smallDisk(t *testing.T) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		return "", err
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir, nil
}

// ballast fills a disk with a file.
func ballast(name string) disk {
	return disk{
		take: func() error {
			f, err := os.Create(name) //nolint:gosec // on the disk of this test
			if err != nil {
				return err
			}
			chunk := make([]byte, 64<<10)
			for err == nil || len(chunk) > 1 {
				if err != nil {
					chunk = chunk[:len(chunk)/2]
				}
				_, err = f.Write(chunk)
			}
			if err = errors.Join(ignore(err, syscall.ENOSPC), f.Close()); err != nil {
				return err
			}
			return nil
		},
		give: func() error { return os.Remove(name) },
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
