package servertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestProxy: every fault looks to the client as it should, and the proxy passes
// what it is to pass.
func TestProxy(t *testing.T) {
	body := strings.Repeat("0123456789", 10_000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client was cut off
		}
		_, _ = w.Write(got)
	}))
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		fault Fault
		check func(status int, got string, err error) bool
	}{
		"none": {Fault{}, func(status int, got string, err error) bool {
			return status == http.StatusOK && got == body && err == nil
		}},
		"delay": {Fault{Delay: time.Millisecond}, func(status int, got string, err error) bool {
			return status == http.StatusOK && got == body && err == nil
		}},
		"reset": {Fault{After: 5000, Then: Reset}, func(_ int, got string, err error) bool {
			return err != nil && !errors.Is(err, context.DeadlineExceeded) && len(got) < 5000 && strings.HasPrefix(body, got)
		}},
		"reset at once": {Fault{Then: Reset}, func(status int, _ string, err error) bool {
			return status == 0 && err != nil && !errors.Is(err, context.DeadlineExceeded)
		}},
		"half-open": {Fault{After: 5000, Then: HalfOpen}, func(_ int, got string, err error) bool {
			return errors.Is(err, context.DeadlineExceeded) && len(got) < 5000 && strings.HasPrefix(body, got)
		}},
		"unavailable": {Fault{Then: Unavailable}, func(status int, got string, err error) bool {
			return status == http.StatusServiceUnavailable && got == "unavailable\n" && err == nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := NewProxy(t, server.URL, func(int) Fault { return test.fault })
			within := patience
			if test.fault.Then == HalfOpen {
				within = 500 * time.Millisecond // for nothing to happen
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			status, got, err := roundTrip(ctx, proxy.URL, body)
			if !test.check(status, got, err) {
				t.Errorf("status %d, %d bytes, %v", status, len(got), err)
			}
		})
	}

	t.Run("cut", func(t *testing.T) {
		proxy := NewProxy(t, "", func(int) Fault { return Fault{} })
		if status, _, err := roundTrip(t.Context(), proxy.URL, body); err == nil {
			t.Errorf("without a server: status %d", status)
		}
		for _, after := range []int{0, 1000} {
			begun, goOn := make(chan struct{}), make(chan struct{})
			answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, body[:500])
				_ = http.NewResponseController(w).Flush()
				close(begun)
				<-goOn
				_, _ = io.WriteString(w, body[500:])
			}))
			proxy.Forward(strings.TrimPrefix(answering.URL, "http://"))
			go func() {
				<-begun // so there is a connection
				proxy.Cut(after)
				close(goOn)
			}()
			_, got, err := roundTrip(t.Context(), proxy.URL, "")
			if err == nil || len(got) > 500+after || !strings.HasPrefix(body, got) {
				t.Errorf("after %d: %d bytes, %v", after, len(got), err)
			}
			answering.Close()
		}
	})

	t.Run("vanish", func(t *testing.T) {
		proxy := NewProxy(t, server.URL, func(int) Fault { return Fault{} })
		reader, writer := io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			_, _, err := stream(ctx, proxy.URL, reader)
			failed <- err
		}()
		if _, err := fmt.Fprint(writer, body); err != nil { // so there is a connection
			t.Fatal(err)
		}
		proxy.Vanish()
		if status, got, err := roundTrip(ctx, proxy.URL, body); status != http.StatusOK || got != body || err != nil {
			t.Errorf("another connection: status %d, %d bytes, %v", status, len(got), err)
		}
		select {
		case err := <-failed:
			t.Errorf("the client that is alone was told: %v", err)
		default:
		}
		cancel()
		_ = writer.Close()
		if err := <-failed; err == nil {
			t.Error("the client that is alone got an answer")
		}
	})
}

func roundTrip(ctx context.Context, url, body string) (status int, got string, err error) {
	return stream(ctx, url, strings.NewReader(body))
}

func stream(ctx context.Context, url string, body io.Reader) (status int, got string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return 0, "", err
	}
	req.Close = true // the next one is to get a connection of its own
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	return res.StatusCode, string(all), err
}
