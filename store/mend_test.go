//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// diskEnv names the data folder of a child process whose disk refuses writes.
const diskEnv = "WIGWAG_STORE_TEST_DISK"

// fileLimit is where the child's files end while its disk is full. The system
// then refuses writes as it does when there is no space, and lets them through
// when the limit is lifted.
const fileLimit = 200_000

// TestDiskRefuses: a disk that is full in spite of the reserve. Its other half
// runs in a process of its own, since the limit holds for all files of one.
func TestDiskRefuses(t *testing.T) {
	if dir := os.Getenv(diskEnv); dir != "" {
		fullDisk(t, dir)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiskRefuses$", "-test.v") //nolint:gosec // this test
	cmd.Env = append(os.Environ(), diskEnv+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// fullDisk writes until the disk refuses, reads on, is given space, and goes on
// without a start.
func fullDisk(t *testing.T, dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	var told spy
	defer func() { t.Log(told.String()) }()
	o := Options{Dir: dir, Logger: told.logger()}
	st := open(t, o)
	log := st.Messages()
	live := follow(t, log)
	stored := map[uint64]string{}
	try := func(text string) error {
		r, err := log.Append(t.Context(), Entry{Subject: "room", Data: []byte(text)})
		if err == nil {
			stored[r.Seq] = text
		}
		return err
	}

	lift := limitFiles(t, fileLimit)
	text := strings.Repeat("x", 10_000)
	var err error
	for i := 0; err == nil && i < 100; i++ {
		err = try(fmt.Sprint(i, text))
	}
	if !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrFull) || len(stored) < 10 {
		t.Fatalf("after %d records a write that the disk refuses: %v", len(stored), err)
	}
	await(t, "it fails clearly", func() bool { return errors.Is(try("more"), ErrFull) })
	start := time.Now()
	for i := range 50 {
		if err := try("more"); !errors.Is(err, ErrFull) {
			t.Fatalf("write %d to a full disk: %v", i, err)
		}
	}
	if took := time.Since(start); took > answerTimeout {
		t.Errorf("50 refusals took %v", took)
	}
	if st.Ready() == nil {
		t.Error("a store that cannot write calls itself ready")
	}
	compare(t, "while the disk is full", read(t, log, Range{Limit: 1000}), stored)

	lift()
	await(t, "it writes again", func() bool { return try("space again") == nil })
	for i := range 100 {
		if err := try(fmt.Sprint("after", i, text)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, st.Bucket(Users), "alice", "v", 0, true)
	if err := st.Ready(); err != nil {
		t.Error(err)
	}
	s := state(t, log)
	all := read(t, log, Range{Limit: 1000})
	compare(t, "with space again", all, stored)
	same(t, "what the follower got", live.until(t, s.Last), all)
	closeNow(t, st)

	st = open(t, o)
	if again := state(t, st.Messages()); again != s {
		t.Errorf("after a restart the state is %+v, want %+v", again, s)
	}
	compare(t, "after a restart", read(t, st.Messages(), Range{Limit: 1000}), stored)
}

// limitFiles limits the size of this process's files.
func limitFiles(t *testing.T, size uint64) (lift func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limited := before
	limited.Cur = size
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
			t.Fatal(err)
		}
	}
}

// compare checks that a log holds what was stored, and nothing else but what
// may have been.
func compare(t *testing.T, when string, all []Record, stored map[uint64]string) {
	t.Helper()
	found := 0
	for i, r := range all {
		want, ok := stored[r.Seq]
		if r.Seq != uint64(i)+1 || ok && string(r.Data) != want {
			t.Fatalf("%s: record %d has the number %d and is %.20q, want %.20q", when, i, r.Seq, r.Data, want)
		}
		if ok {
			found++
		}
	}
	if found != len(stored) {
		t.Errorf("%s: %d of %d records are there", when, found, len(stored))
	}
}
