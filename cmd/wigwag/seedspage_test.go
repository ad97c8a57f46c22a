package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What docs/seeds.md names as a test is one, what has none says so, and every
// test of the seeds' clients is named.
func TestSeedsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/seeds.md")
	if err != nil {
		t.Fatal(err)
	}
	// `cmd/wigwag.TestSeedsPage`, or of the clients `chat: sends a message`.
	name := regexp.MustCompile("`([a-z/]+)(\\.|: )([^`]+)`")
	saysSo := regexp.MustCompile(`^(no[:, ]|declined:|.\.ci/run)`)
	clients := testsOfSeeds(t)
	named := map[string]bool{}
	rows := 0
	for _, table := range strings.Split(string(page), "| what | where | test |\n|---|---|---|\n")[1:] {
		table, _, _ = strings.Cut(table, "\n\n")
		for row := range strings.Lines(table) {
			cells := strings.Split(row, " |")
			if len(cells) != 4 {
				t.Errorf("not a row of three cells: %s", row)
				continue
			}
			rows++
			tests := name.FindAllStringSubmatch(cells[2], -1)
			if len(tests) == 0 && !saysSo.MatchString(strings.TrimSpace(cells[1])) {
				t.Errorf("no test: %s", row)
			}
			for _, m := range tests {
				switch where, test := m[1], m[3]; {
				case m[2] == ".":
					if !hasTest(t, where, test) {
						t.Errorf("there is no %s in %s", test, where)
					}
				case !slices.Contains(clients[where], test):
					t.Errorf("there is no %q in clients/seeds/%s.test.mjs", test, where)
				default:
					named[where+": "+test] = true
				}
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows were found", rows)
	}
	for file, tests := range clients {
		for _, test := range tests {
			if !named[file+": "+test] {
				t.Errorf("%s: %s is not named", file, test)
			}
		}
	}
}

// testsOfSeeds are the names of the tests in clients/seeds, by file.
func testsOfSeeds(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for path, text := range readAll(t, "../../clients/seeds/*.test.mjs") {
		file := strings.TrimSuffix(filepath.Base(path), ".test.mjs")
		for _, m := range regexp.MustCompile(`(?m)^ +test\('([^']+)'`).FindAllStringSubmatch(text, -1) {
			names[file] = append(names[file], m[1])
		}
	}
	return names
}

// hasTest tells whether a package has a test.
func hasTest(t *testing.T, pkg, name string) bool {
	t.Helper()
	for _, text := range readAll(t, filepath.Join("..", "..", pkg, "*_test.go")) {
		if strings.Contains(text, "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// readAll reads files, of which there must be one.
func readAll(t *testing.T, pattern string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(paths), err)
	}
	texts := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // the test names it
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	return texts
}
