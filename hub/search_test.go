package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"
)

func foundTexts(page SearchPage) string { return texts(Page{Messages: page.Messages}) }

func TestSearch(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true})
	send(t, h, alice, General, "The Deploy failed")
	send(t, h, bob, General, "ΟΔΥΣΣΕΥΣ sails")
	send(t, h, bob, General, "計画はデプロイの後")
	send(t, h, alice, "den", "deploy key of the den")
	send(t, h, alice, "dm/alice/bob", "deploy, for bob")
	send(t, h, bob, General, "redeploying: it FAILED again")
	notify(t, h, alice, "", "deploy notification")
	for name, test := range map[string]struct {
		actor Actor
		q     SearchQuery
		want  string
	}{
		"newest first":      {alice, SearchQuery{Text: "deploy"}, "redeploying: it FAILED again|deploy, for bob|deploy key of the den|The Deploy failed"},
		"as a party":        {bob, SearchQuery{Text: "deploy"}, "redeploying: it FAILED again|deploy, for bob|The Deploy failed"},
		"what others see":   {carol, SearchQuery{Text: "deploy"}, "redeploying: it FAILED again|The Deploy failed"},
		"what guests see":   {guest, SearchQuery{Text: "deploy"}, "redeploying: it FAILED again|The Deploy failed"},
		"nobody":            {Actor{}, SearchQuery{Text: "deploy"}, ""},
		"every word":        {alice, SearchQuery{Text: " FAILED\t deploy "}, "redeploying: it FAILED again|The Deploy failed"},
		"not all words":     {alice, SearchQuery{Text: "deploy nowhere"}, ""},
		"final sigma":       {alice, SearchQuery{Text: "οδυσσευς"}, "ΟΔΥΣΣΕΥΣ sails"},
		"without spaces":    {alice, SearchQuery{Text: "デプロイ"}, "計画はデプロイの後"},
		"in a room":         {alice, SearchQuery{Text: "deploy", Target: Target{Room: "den"}}, "deploy key of the den"},
		"with somebody":     {alice, SearchQuery{Text: "deploy", Target: Target{To: "bob"}}, "deploy, for bob"},
		"by somebody":       {alice, SearchQuery{Text: "deploy", Sender: "bob"}, "redeploying: it FAILED again"},
		"so many":           {alice, SearchQuery{Text: "deploy", Limit: 2}, "redeploying: it FAILED again|deploy, for bob"},
		"before a message":  {alice, SearchQuery{Text: "deploy", Before: h.id(5)}, "deploy key of the den|The Deploy failed"},
		"before them all":   {alice, SearchQuery{Text: "deploy", Before: "0"}, ""},
		"marks, not words":  {alice, SearchQuery{Text: ","}, "deploy, for bob"},
		"nothing of a name": {alice, SearchQuery{Text: "alice"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := h.Search(t.Context(), test.actor, test.q)
			if got := foundTexts(page); err != nil || got != test.want || page.Cut || page.More != (test.q.Limit > 0) {
				t.Errorf("found %q, more %t, cut %t, %v; want %q", got, page.More, page.Cut, err, test.want)
			}
		})
	}
}

func TestSearchRefuses(t *testing.T) {
	h := newHub(t)
	open(t, h, alice, RoomSpec{Name: "den", Private: true})
	for name, test := range map[string]struct {
		q    SearchQuery
		code Code
		arg  string
	}{
		"no word":          {SearchQuery{Text: " \n"}, Invalid, "q"},
		"too long":         {SearchQuery{Text: strings.Repeat("x", maxSearch+1)}, Invalid, "q"},
		"no UTF-8":         {SearchQuery{Text: "\xff"}, Invalid, "q"},
		"no name":          {SearchQuery{Text: "x", Sender: "Bob!"}, Invalid, "sender"},
		"too many":         {SearchQuery{Text: "x", Limit: maxPage + 1}, Invalid, "limit"},
		"a hidden room":    {SearchQuery{Text: "x", Target: Target{Room: "den"}}, NotFound, "room"},
		"no such room":     {SearchQuery{Text: "x", Target: Target{Room: "none"}}, NotFound, "room"},
		"a room and a to":  {SearchQuery{Text: "x", Target: Target{Room: General, To: "bob"}}, Invalid, "to"},
		"no cursor":        {SearchQuery{Text: "x", Before: "x"}, Invalid, "before"},
		"of another epoch": {SearchQuery{Text: "x", Before: "other-1"}, Reset, "before"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Search(t.Context(), bob, test.q)
			wantCode(t, err, test.code, test.arg)
		})
	}
}

// TestSearchIsBounded: a search stops after so many records or bytes and says
// so, and whoever goes on finds everything, with a log in pages.
func TestSearchIsBounded(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		number int
	}{
		"records": {"hay", 2*maxScanned + 1000},
		"bytes":   {strings.Repeat("hay ", 10_000), 2*maxScannedBytes/40_000 + 100},
	} {
		t.Run(name, func(t *testing.T) {
			var records, bytes, most atomic.Int64
			log := &oddLog{Log: NewMemoryLog(256 << 20)}
			put := func(text string) {
				t.Helper()
				if _, err := log.Append(t.Context(), bobSays(text)); err != nil {
					t.Fatal(err)
				}
			}
			put("a needle first")
			for range test.number {
				put(test.text)
			}
			put("a needle last")
			h := newHubOver(t, log)
			log.read = func(r []Record, err error) ([]Record, error) {
				size := 0
				for _, rec := range r {
					size += len(rec.Data)
				}
				records.Add(int64(len(r)))
				bytes.Add(int64(size))
				most.Store(max(most.Load(), int64(size)))
				return r, err
			}
			q, cuts := SearchQuery{Text: "NEEDLE"}, 0
			var found []string
			for more := true; more; {
				records.Store(0)
				bytes.Store(0)
				page, err := h.Search(t.Context(), alice, q)
				if err != nil || page.Cut != page.More || records.Load() > maxScanned+chunkLimit || bytes.Load() > maxScannedBytes+4*most.Load() { // some chunks are read anew, narrower
					t.Fatalf("a search read %d records, %d bytes; cut %t, more %t, %v", records.Load(), bytes.Load(), page.Cut, page.More, err)
				}
				if page.Cut {
					cuts++
				}
				found = append(found, foundTexts(page))
				q.Before, more = page.Next, page.More
			}
			if want := []string{"a needle last", "", "a needle first"}; !slices.Equal(found, want) || cuts != 2 {
				t.Errorf("found %q, cut %d times", found, cuts)
			}
			if most.Load() > 2*chunkBytes {
				t.Errorf("%d bytes were read at a time", most.Load())
			}
		})
	}
}

// TestSearchOfLongMessages: an answer is bounded by bytes, too.
func TestSearchOfLongMessages(t *testing.T) {
	h := newHub(t)
	for i := range 12 {
		send(t, h, alice, General, fmt.Sprint(i, strings.Repeat(" x", 30_000)))
	}
	var all int
	q := SearchQuery{Text: "x", Limit: maxPage}
	for more := true; more; {
		page, err := h.Search(t.Context(), bob, q)
		if err != nil || len(page.Messages) == 0 || len(page.Messages) > 5 || page.Cut {
			t.Fatalf("a page of %d messages, cut %t, %v", len(page.Messages), page.Cut, err)
		}
		all += len(page.Messages)
		q.Before, more = page.Next, page.More
	}
	if all != 12 {
		t.Errorf("found %d messages", all)
	}
}

// TestSearchAndRights: what an actor loses while its search is under way is not
// in the answer; and while it is not known who may see what, neither is what is
// not public.
func TestSearchAndRights(t *testing.T) {
	var away atomic.Bool
	log := &oddLog{Log: NewMemoryLog(1 << 20)}
	h := newHubWith(t, Options{Log: log, Ready: func() error {
		if away.Load() {
			return errors.New("not heard")
		}
		return nil
	}})
	open(t, h, alice, RoomSpec{Name: "den", Private: true, Invite: []string{"bob"}})
	send(t, h, alice, General, "x in public")
	send(t, h, alice, "den", "x in private")
	search := func(q SearchQuery) (string, error) {
		q.Text = "x"
		page, err := h.Search(t.Context(), bob, q)
		return foundTexts(page), err
	}
	if got, err := search(SearchQuery{}); err != nil || got != "x in private|x in public" {
		t.Errorf("a member finds %q, %v", got, err)
	}
	away.Store(true)
	if got, err := search(SearchQuery{}); got != "" {
		t.Errorf("while nothing is heard, found %q", got)
	} else {
		wantCode(t, err, Unavailable, "")
	}
	if got, err := search(SearchQuery{Target: Target{Room: General}}); err != nil || got != "x in public" {
		t.Errorf("in public, while nothing is heard, found %q, %v", got, err)
	}
	away.Store(false)
	log.read = func(r []Record, err error) ([]Record, error) {
		log.read = nil
		return r, errors.Join(err, h.RemoveMember(context.Background(), "den", "bob"))
	}
	if got, err := search(SearchQuery{}); err != nil || got != "x in public" {
		t.Errorf("removed meanwhile, found %q, %v", got, err)
	}
}

// FuzzFold: two texts are folded to the same if and only if they differ in case
// only, and folding makes nothing longer.
func FuzzFold(f *testing.F) {
	for _, pair := range [][2]string{{"Deploy", "dEPLOY"}, {"ΣΑΣ", "σας"}, {"K", "k"}, {"ſ", "S"}, {"İ", "i"}, {"ß", "ẞ"}, {"計画", "計画"}, {"a", "à"}, {"\xff", "\ufffd"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b, strings.ToUpper(a), strings.Map(unicode.SimpleFold, a)} {
			folded := appendFolded(nil, s)
			if !utf8.Valid(folded) || utf8.ValidString(s) && len(folded) > len(s) {
				t.Errorf("%q is folded to %q", s, folded)
			}
			if !slices.Equal(appendFolded(nil, string(folded)), folded) {
				t.Errorf("%q is folded to %q, which is folded again", s, folded)
			}
			if same := string(folded) == string(appendFolded(nil, a)); same != strings.EqualFold(a, s) && utf8.ValidString(a) && utf8.ValidString(s) {
				t.Errorf("%q and %q are the same: %t", a, s, same)
			}
		}
	})
}
