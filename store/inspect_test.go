package store

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fingerprint is everything of a folder: names, modes, times and contents.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintln(sum, name, info.Mode(), info.ModTime(), info.Size())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(name) //nolint:gosec // of the test
			if err != nil {
				return err
			}
			_, _ = sum.Write(data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// levels are what was found, by check; of several the worst.
func levels(found []Finding) map[string]string {
	rank := map[string]int{LevelOK: 1, LevelWarn: 2, LevelFail: 3}
	worst := map[string]string{}
	for _, f := range found {
		if rank[f.Level] > rank[worst[f.Check]] {
			worst[f.Check] = f.Level
		}
	}
	return worst
}

// TestInspect: a folder in order is found so, and is not changed by looking; one
// that is not is told of.
func TestInspect(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, test := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		check string // that fails; "": none
	}{
		{"in order", func(*testing.T, string) {}, ""},
		{"open to others", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is what is tested
				t.Fatal(err)
			}
		}, "permissions"},
		{"newer", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, aboutName), []byte(`{"format": 9}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "version"},
		{"its end lost", func(t *testing.T, dir string) {
			t.Helper()
			names := blocks(t, dir, messagesName)
			if err := os.Truncate(names[len(names)-1], 1000); err != nil {
				t.Fatal(err)
			}
		}, "contents"},
		{"users lost", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.RemoveAll(filepath.Dir(blocks(t, dir, Users)[0])); err != nil {
				t.Fatal(err)
			}
		}, "contents"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, _ := filled(t, 200)
			test.spoil(t, dir)
			before := fingerprint(t, dir)
			found, running := InspectFolder(dir)
			if running {
				t.Error("it is said to be running")
			}
			found = append(found, InspectCopy(t.Context(), dir)...)
			for check, level := range levels(found) {
				if failed := level == LevelFail; failed && check != test.check && test.name != "newer" || !failed && check == test.check {
					t.Errorf("%s: %s", check, level)
				}
			}
			if level := levels(found)[test.check]; test.check != "" && level != LevelFail {
				t.Errorf("%s is %q", test.check, level)
			}
			if fingerprint(t, dir) != before {
				t.Error("looking has changed it")
			}
			t.Log(found)
		})
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestInspectRunning: a store that is open tells of itself, and is seen to be
// open from outside.
func TestInspectRunning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	st := open(t, Options{Dir: dir, MaxBytes: 1 << 20})
	add(t, st.Messages(), "room", strings.Repeat("x", 1000_000))
	found, running := InspectFolder(dir)
	if !running || levels(found)["server"] != LevelOK {
		t.Errorf("it is not seen to run: %v", found)
	}
	found = st.Inspect(t.Context())
	for check, level := range levels(found) {
		if check == "disk" { // is what it is
			continue
		}
		if want := map[bool]string{true: LevelWarn, false: LevelOK}[check == messagesName]; level != want {
			t.Errorf("%s is %s, want %s: %v", check, level, want, found)
		}
	}
	closeNow(t, st)
	if _, running := InspectFolder(dir); running {
		t.Error("it is said to run after its end")
	}
	if f := InspectDisk(dir, 1<<60); f.Level != LevelFail {
		t.Errorf("less free than the reserve: %v", f)
	}
	if found, _ := InspectFolder(filepath.Join(dir, "none")); found[0].Level != LevelFail {
		t.Errorf("no folder: %v", found)
	}
}
