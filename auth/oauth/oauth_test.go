package oauth

import (
	"strings"
	"testing"
)

func TestNewSaysWhatIsWrong(t *testing.T) {
	good := newLab(t).options
	for want, change := range map[string]func(*Options){
		"are required":        func(o *Options) { o.Store = nil },
		"Logger are required": func(o *Options) { o.Logger = nil },
		"a public URL":        func(o *Options) { o.PublicURLs = nil },
		`"https://h/path"`:    func(o *Options) { o.PublicURLs = []string{"https://h/path"} },
		`"ftp://h"`:           func(o *Options) { o.PublicURLs = []string{"https://a", "ftp://h"} },
		`"https://u@h"`:       func(o *Options) { o.PublicURLs = []string{"https://u@h"} },
		`"h:8080"`:            func(o *Options) { o.PublicURLs = []string{"h:8080"} },
		`"https://h?"`:        func(o *Options) { o.PublicURLs = []string{"https://h?"} },
	} {
		o := good
		change(&o)
		if s, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %s", err, want)
			if s != nil {
				s.Close()
			}
		}
	}
	good.PublicURLs = []string{"https://Chat.example.com:8443/"}
	s, err := New(good)
	must(t, err)
	defer s.Close()
	if s.sites[0].issuer != "https://Chat.example.com:8443" || s.sites[0].host != "chat.example.com:8443" || !s.sites[0].secure {
		t.Errorf("%+v", s.sites[0])
	}
}
