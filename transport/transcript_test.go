package transport_test

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/rogpeppe/go-internal/txtar"

	"wigwag/transport"
)

var update = flag.Bool("update", false, "rewrite what the transcripts expect")

// A transcript is a txtar file that holds a conversation over HTTP. Its
// sections are steps; what those marked * hold is compared with what happened.
//
//	-- session VERSION --   alice's session of that revision; headers, an empty line and client capabilities may be given
//	-- request --           sends what it holds: method and path, headers, an empty line, body
//	-- request NAME --      the same, and goes on while the answer comes
//	-- answer --*           the answer, or what has not been read of it, to its end
//	-- answer NAME --*
//	-- head NAME --*        only status and headers
//	-- events NAME N --*    the next N events
//	-- hang up NAME --      the client closes the connection
//	-- call NAME starts --  waits until the tool slow runs as NAME
//	-- call NAME ORDER --*  has it do something: see obey
//	-- call NAME stops --*  waits until it is stopped; the cause
//	-- server ORDER --      see command
//	-- # WORDS --           a remark
//
// The headers User: alice and those of usualHeaders are sent unless a request
// has others. Of an answer's headers those in shownHeaders are shown. IDs that
// differ from run to run get names, in the order they appear ($SESSION1,
// $STREAM1, $STATE1), by which requests can use them.
type transcript struct {
	*lab
	exchanges map[string]*exchange
	headSeen  map[*exchange]bool
	names     map[string]string // of volatile values
	counts    map[string]int    // of the names of a kind
	values    map[string]string // of names
}

const last = "" // the exchange of a request without a name

var shownHeaders = []string{"Content-Type", "Mcp-Session-Id", "Allow", "Retry-After"}

// runTranscript runs a transcript over HTTP/1.1, and rewrites it with -update.
func runTranscript(t *testing.T, file string) {
	t.Parallel()
	archive, changed := play(t, newLab(t, transport.Options{}), file)
	if changed {
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// play plays the client's part of a transcript. What differs from the
// transcript fails the test or, with -update, is changed in the archive.
func play(t *testing.T, l *lab, file string) (archive *txtar.Archive, changed bool) {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tr := &transcript{
		lab:       l,
		exchanges: make(map[string]*exchange), headSeen: make(map[*exchange]bool), names: make(map[string]string),
		counts: make(map[string]int),
		values: map[string]string{
			"VERSION": `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`,
			"NOCAPS":  `"io.modelcontextprotocol/clientCapabilities":{}`,
			"ALLCAPS": `"io.modelcontextprotocol/clientCapabilities":{"sampling":{},"elicitation":{},"roots":{}}`,
		},
	}
	for i := range archive.Files {
		step := &archive.Files[i]
		got, compared := tr.step(step.Name, string(step.Data))
		if t.Failed() {
			t.Fatalf("in step %d, %s", i+1, step.Name)
		}
		if !compared || got == string(step.Data) {
			continue
		}
		if !*update {
			t.Fatalf("step %d, %s: got\n%s\nwant\n%s", i+1, step.Name, got, step.Data)
		}
		step.Data, changed = []byte(got), true
	}
	return archive, changed
}

// step does what a section says. What is to be compared with its text is
// returned.
func (tr *transcript) step(name, text string) (got string, compared bool) {
	words := strings.Fields(name)
	word := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch word(0) {
	case "#":
	case "session":
		tr.session(word(1), text)
	case "request":
		tr.request(word(1), text)
	case "answer":
		return tr.shown(tr.wholeAnswer(tr.exchange(word(1)))), true
	case "head":
		return tr.shown(tr.headText(tr.exchange(word(1)))), true
	case "events":
		n, err := strconv.Atoi(word(2))
		if err != nil {
			tr.t.Fatal(err)
		}
		return tr.shown(tr.events(tr.exchange(word(1)), n)), true
	case "hang":
		tr.exchange(word(2)).hangUp()
	case "call":
		switch order := strings.Join(words[2:], " "); order {
		case "starts":
			tr.starts(word(1))
		case "stops":
			return asLine(tr.stops(word(1))), true
		default:
			return asLine(tr.order(word(1), order)), true
		}
	case "server":
		tr.command(strings.Join(words[1:], " "))
	default:
		tr.t.Fatalf("no such step: %s", name)
	}
	return "", false
}

// asLine is the text of a section that holds s.
func asLine(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}

func (tr *transcript) exchange(name string) *exchange {
	x := tr.exchanges[name]
	if x == nil {
		tr.t.Fatalf("no request was called %q", name)
	}
	return x
}

// request sends what a section holds.
func (tr *transcript) request(name, text string) {
	first, rest, _ := strings.Cut(text, "\n")
	method, path, _ := strings.Cut(first, " ")
	headers, body := splitHead(rest)
	if !strings.Contains("\n"+headers, "\nUser:") {
		headers = "User: alice\n" + headers
	}
	tr.exchanges[name] = tr.send(method, tr.expand(path), tr.expand(headers), tr.expand(strings.TrimSuffix(body, "\n")))
}

// splitHead separates lines of headers from what follows the first empty line.
func splitHead(text string) (headers, body string) {
	if body, ok := strings.CutPrefix(text, "\n"); ok {
		return "", body
	}
	headers, body, _ = strings.Cut(text, "\n\n")
	return asLine(headers), body
}

// session opens a session as clients do. Its ID gets a name.
func (tr *transcript) session(version, text string) {
	headers, capabilities := splitHead(text)
	if capabilities = strings.TrimSpace(capabilities); capabilities == "" {
		capabilities = "{}"
	}
	tr.request(last, "POST /mcp\n"+headers+"\n"+`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+version+
		`","capabilities":`+capabilities+`,"clientInfo":{"name":"transcript","version":"1"}}}`)
	answer := tr.shown(tr.wholeAnswer(tr.exchange(last)))
	id := regexp.MustCompile(`\$SESSION\d+`).FindString(answer)
	if !strings.Contains(answer, `"protocolVersion":"`+version+`"`) || id == "" {
		tr.t.Fatalf("no session of revision %s: %s", version, answer)
	}
	tr.request(last, "POST /mcp\n"+headers+"Mcp-Session-Id: "+id+"\n\n"+`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if answer := tr.wholeAnswer(tr.exchange(last)); answer != "202\n" {
		tr.t.Fatalf("notifications/initialized was answered %s", answer)
	}
}

var variable = regexp.MustCompile(`\$[A-Z]+[0-9]*`)

// expand puts values in the place of their names.
func (tr *transcript) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		value, ok := tr.values[name[1:]]
		if !ok {
			tr.t.Fatalf("%s is not known yet", name)
		}
		return value
	})
}

// volatile is what differs from run to run, by the name it gets.
var volatile = map[string]*regexp.Regexp{
	"SESSION": regexp.MustCompile(`(?m)^(?:Mcp-Session-Id: |data: /messages\?sessionId=)(\S+)$`),
	"STREAM":  regexp.MustCompile(`(?m)^id: ([^-\s]+)-[\d.]+$`),
	"STATE":   regexp.MustCompile(`"requestState":"([^"]+)"`),
}

// shown puts names in the place of volatile values.
func (tr *transcript) shown(text string) string {
	for kind, re := range volatile {
		for _, found := range re.FindAllStringSubmatch(text, -1) {
			value := found[1]
			if tr.names[value] == "" {
				tr.counts[kind]++
				name := kind + strconv.Itoa(tr.counts[kind])
				tr.names[value], tr.values[name] = "$"+name, value
			}
		}
	}
	for value, name := range tr.names {
		text = strings.ReplaceAll(text, value, name)
	}
	return text
}

// headText is an answer's status and headers as they are shown.
func (tr *transcript) headText(x *exchange) string {
	tr.headSeen[x] = true
	res := x.head()
	text := strconv.Itoa(res.StatusCode) + "\n"
	for _, name := range shownHeaders {
		if value := res.Header.Get(name); value != "" {
			text += name + ": " + value + "\n"
		}
	}
	return text
}

func (tr *transcript) wholeAnswer(x *exchange) string {
	var text string
	if !tr.headSeen[x] {
		text = tr.headText(x)
	}
	rest := x.finish()
	if text != "" && rest.body != "" {
		text += "\n"
	}
	if strings.HasPrefix(rest.body, "[") {
		rest.body = sortBatch(tr.t, rest.body)
	}
	text += asLine(rest.body)
	if rest.broken {
		text += "(the connection broke)\n"
	}
	return text
}

// sortBatch brings the responses of a batch into one order of the many that are
// right, a line each.
func sortBatch(t testing.TB, body string) string {
	var responses []json.RawMessage
	if err := json.Unmarshal([]byte(body), &responses); err != nil {
		t.Fatal(err)
	}
	lines := make([]string, len(responses))
	for i, r := range responses {
		lines[i] = string(r)
	}
	slices.Sort(lines)
	return "[" + strings.Join(lines, ",\n") + "]"
}

func (tr *transcript) events(x *exchange, n int) string {
	var text strings.Builder
	if !tr.headSeen[x] {
		text.WriteString(tr.headText(x) + "\n")
	}
	for range n {
		text.WriteString(x.frame())
	}
	return text.String()
}

// command has the server do what concerns no call.
func (tr *transcript) command(words string) {
	everybody := func(string) bool { return true }
	verb, rest, _ := strings.Cut(words, " ")
	switch verb {
	case "updates":
		uri, user, only := strings.Cut(rest, " for ")
		tr.srv.ResourceUpdated(uri, func(u string) bool { return !only || u == user })
	case "lists": // other resources than before
		tr.srv.ResourcesListChanged(everybody)
	case "adds": // a tool, or a prompt
		if rest == "a prompt" {
			tr.mcp.AddPrompt(mcp.NewPrompt("added"), nil)
			return
		}
		tr.mcp.AddTool(mcp.NewTool("added"), nil)
	case "shuts": // down
		tr.shutDown()
	case "is": // down
		<-tr.down
	default:
		tr.t.Fatalf("no such command: %s", words)
	}
}
