package oauth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestLine15GuardRefusesWhatIsNotPublic(t *testing.T) {
	for _, bad := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1",
		"fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1", "2606:4700::1%eth0",
	} {
		if publicAddress(netip.MustParseAddr(bad)) == nil {
			t.Errorf("%s is let through", bad)
		}
	}
	if publicAddress(netip.Addr{}) == nil {
		t.Error("no address is let through")
	}
	for _, good := range []string{"1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"} {
		if err := publicAddress(netip.MustParseAddr(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func TestLine15NothingOnLoopbackIsFetched(t *testing.T) {
	l := newLab(t) // with the guard as it is
	asked := make(chan struct{}, 100)
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer inside.Close()
	l.fetcher.trust(inside)
	port := inside.URL[strings.LastIndex(inside.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1"} {
		a := l.browser().authorize(ask("https://" + host + port + "/client.json"))
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, "could not be fetched") {
			t.Errorf("%s: %d %s", host, a.status, a.body)
		}
	}
	if len(asked) != 0 {
		t.Errorf("%d connections to loopback", len(asked))
	}
	_, _, err := l.fetcher.get(t.Context(), inside.URL)
	if !errors.Is(err, errNotPublic) {
		t.Errorf("%v, want %v", err, errNotPublic)
	}
	if !l.audit.has("authorize", "refused") {
		t.Error("no trace in the audit")
	}
}
