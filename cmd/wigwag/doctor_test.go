package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wigwag/store"
)

// TestDoctor: a data folder in order, with a server and without, exits 0; one
// that is not exits 1 and says what to do.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder needs it
		t.Fatal(err)
	}
	p := start(t, nil, "--data", dir, "--max-store", "8MiB")
	text, code := command(t, "doctor", "--data", dir)
	if code != 0 || !strings.Contains(text, "a server runs on it") || !strings.Contains(text, " of 8.0 MiB") || strings.Contains(text, "fail") {
		t.Errorf("with a server: %d\n%s", code, text)
	}
	p.stop()
	text, code = command(t, "doctor", "--json", "--data", dir)
	var found []store.Finding
	if err := json.Unmarshal([]byte(text), &found); err != nil || code != 0 {
		t.Fatalf("without: %d, %v\n%s", code, err, text)
	}
	checks := map[string]bool{}
	for _, f := range found {
		checks[f.Check] = true
		if f.Level == store.LevelFail {
			t.Errorf("%+v", f)
		}
	}
	for _, want := range []string{"folder", "permissions", "version", "server", "messages", "users", "rooms", "sessions", "streams", "disk", "clock"} {
		if !checks[want] {
			t.Errorf("nothing is said of %s", want)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // that is what is tested
		t.Fatal(err)
	}
	if text, code := command(t, "doctor", "--data", dir); code != 1 || !strings.Contains(text, "→ chmod 0700 "+dir) {
		t.Errorf("open to others: %d\n%s", code, text)
	}
	none := filepath.Join(dir, "none")
	if text, code := command(t, "doctor", "--data", none); code != 1 || !strings.Contains(text, "there is no data folder") {
		t.Errorf("no folder: %d\n%s", code, text)
	}
	if _, err := os.Stat(none); !os.IsNotExist(err) {
		t.Error("looking made a folder")
	}
}
