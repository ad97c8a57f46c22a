package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// tables returns the rows of the tables of a page of the docs whose first cell
// is code: that, and the cell after it.
func tables(t *testing.T, page string) (rows [][2]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page)) //nolint:gosec // the test names it
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) > 3 && strings.HasPrefix(cells[1], " `") {
			rows = append(rows, [2]string{strings.Trim(cells[1], " `"), strings.TrimSpace(cells[2])})
		}
	}
	return rows
}

// quantity reads a number as people write it, with a unit or without: bytes, or
// nanoseconds.
func quantity(text string) (int64, error) {
	number, unit, _ := strings.Cut(strings.ReplaceAll(text, ",", ""), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, err
	}
	factors := map[string]int64{
		"": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
		"ms": int64(time.Millisecond), "s": int64(time.Second), "min": int64(time.Minute), "h": int64(time.Hour),
	}
	factor, ok := factors[unit]
	if !ok {
		return 0, fmt.Errorf("%q has an unknown unit", text)
	}
	return n * factor, nil
}

// What docs/limits.md says of the flags is what they are, and it has all that
// bound something.
func TestLimitsPageFlags(t *testing.T) {
	var s settings
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	s.register(flags)
	said := regexp.MustCompile(`\(default: (.*)\)`)
	documented := map[string]bool{}
	for _, row := range tables(t, "limits.md") {
		name, isFlag := strings.CutPrefix(row[0], "--")
		if !isFlag {
			continue
		}
		documented[name] = true
		flag := flags.Lookup(name)
		if flag == nil {
			t.Errorf("there is no flag --%s", name)
			continue
		}
		want := flag.DefValue
		if m := said.FindStringSubmatch(flag.Usage); m != nil {
			want = m[1]
		}
		if want == row[1] {
			continue
		}
		documented, err := quantity(row[1])
		if err != nil {
			t.Errorf("--%s: the default is %q, not %q", name, want, row[1])
			continue
		}
		var got int64
		switch flag.Value.Type() {
		case "duration":
			d, _ := time.ParseDuration(flag.DefValue)
			got = int64(d)
		case "bytes":
			var b byteSize
			_ = b.Set(flag.DefValue)
			got = int64(b)
		default:
			got, _ = strconv.ParseInt(flag.DefValue, 10, 64)
		}
		if got != documented {
			t.Errorf("--%s: the default is %s, not %s", name, flag.DefValue, row[1])
		}
	}
	flags.VisitAll(func(flag *pflag.Flag) {
		bounds := slices.Contains([]string{"duration", "bytes", "int"}, flag.Value.Type())
		if bounds && !documented[flag.Name] {
			t.Errorf("--%s is not in docs/limits.md", flag.Name)
		}
	})
}

// notOfClients are bounds that no client notices, or that are a flag's.
var notOfClients = map[string]string{
	"hub.maxTaps":               "--max-streams",
	"hub.maxUserStreams":        "--max-calls-per-user",
	"hub.maxEpoch":              "of the log's own",
	"hub.maxTries":              "between nodes",
	"hub.maxFormats":            "a cache",
	"hub.maxHints":              "a cache",
	"hub.maxBetween":            "of an algorithm",
	"transport.maxBroadcasts":   "mcp-go's, coalesced",
	"transport.maxNamedRequest": "longer ones are not named",
	"transport.maxNesting":      "deeper ones go another way",
	"auth.maxVerified":          "a cache",
	"auth.maxParsed":            "a cache",
	"auth.maxMemory":            "of a store for tests",
	"auth.maxLimited":           "then strangers share one",
	"auth.maxAuditField":        "longer ones are cut",
	"auth.maxAuditRead":         "the operator's",
	"auth.maxPersonal":          "a lifetime: whoever makes a token is told",
	"auth.maxInvitation":        "a lifetime: whoever invites is told",
	"auth.maxPasswordBytes":     "maxPassword",
	"auth.maxCounts":            "then the weakest is forgotten",
	"auth.maxDoubling":          "of an algorithm",
	"store.maxSubject":          "maxName and maxKey",
	"store.maxBatch":            "of an algorithm",
	"store.maxBatchBytes":       "of an algorithm",
	"wigwag.maxSocketPath":      "the operator's",
	"wigwag.maxAnswer":          "of the command line",
	"wigwag.maxLast":            "of the command line",
	"wigwag.maxUnsent":          "of the command line",
	"wigwag.maxWriting":         "of the command line",
}

// What docs/limits.md says of constants is what they are, and it has every one
// that by its name is a most.
func TestLimitsPageConstants(t *testing.T) {
	packages := map[string]constants{}
	for name, dir := range map[string]string{
		"wigwag": ".", "hub": "../../hub", "transport": "../../transport", "auth": "../../auth", "oauth": "../../auth/oauth", "account": "../../web/account",
		"web": "../../web", "api": "../../web/api", "endpoint": "../../web/endpoint", "seeds": "../../web/seeds", "store": "../../store", "tools": "../../tools", "mcp": "../../mcp",
	} {
		packages[name] = parseConstants(t, dir)
	}
	documented := map[string]bool{}
	for _, row := range tables(t, "limits.md") {
		pkg, name, isConstant := strings.Cut(row[0], ".")
		if !isConstant {
			continue
		}
		documented[row[0]] = true
		want, err := quantity(row[1])
		got := packages[pkg].value(name)
		if err != nil || got == nil || !constant.Compare(got, token.EQL, constant.MakeInt64(want)) {
			t.Errorf("%s is %v, not %s (%v)", row[0], got, row[1], err)
		}
	}
	for pkg, constants := range packages {
		for name := range constants {
			id := pkg + "." + name
			if most := strings.HasPrefix(strings.ToLower(name), "max"); most && !documented[id] && notOfClients[id] == "" {
				t.Errorf("%s is not in docs/limits.md, nor among those that no client notices", id)
			}
		}
	}
	for id := range notOfClients {
		if pkg, name, _ := strings.Cut(id, "."); packages[pkg][name] == nil {
			t.Errorf("there is no %s", id)
		}
	}
}

// constants are those of a package, by name.
type constants map[string]ast.Expr

func parseConstants(t *testing.T, dir string) constants {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(paths), err)
	}
	found := constants{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, value := range spec.Values {
					found[spec.Names[i].Name] = value
				}
			}
		}
	}
	return found
}

// value is that of an integer constant, durations in nanoseconds; nil where it
// is something else.
func (c constants) value(name string) constant.Value {
	if expr, ok := c[name]; ok {
		return c.eval(expr)
	}
	return nil
}

func (c constants) eval(expr ast.Expr) constant.Value {
	switch e := expr.(type) {
	case *ast.BasicLit:
		return constant.MakeFromLiteral(e.Value, e.Kind, 0)
	case *ast.Ident:
		return c.value(e.Name)
	case *ast.ParenExpr:
		return c.eval(e.X)
	case *ast.SelectorExpr:
		units := map[string]time.Duration{"Millisecond": time.Millisecond, "Second": time.Second, "Minute": time.Minute, "Hour": time.Hour}
		if unit := units[e.Sel.Name]; unit != 0 {
			return constant.MakeInt64(int64(unit))
		}
	case *ast.BinaryExpr:
		x, y := c.eval(e.X), c.eval(e.Y)
		if x == nil || y == nil {
			return nil
		}
		if e.Op == token.SHL {
			n, _ := constant.Uint64Val(y)
			return constant.Shift(x, token.SHL, uint(n))
		}
		return constant.BinaryOp(x, e.Op, y)
	}
	return nil
}
