package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"wigwag/client"
	"wigwag/transport/sse"
)

func Example() {
	server := smallServer()
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c := client.New(client.Options{
		Server: server.URL,
		Token:  func(context.Context) (string, error) { return "a personal access token", nil },
	})
	m, err := c.Send(ctx, client.Target{Room: "general"}, client.Draft{Text: "The build is green."})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("sent:", m.ID)

	for event, err := range c.Listen(ctx, client.ListenOptions{After: "k3f9-6"}) {
		if err != nil {
			fmt.Println(err) // signed out, or the like
			return
		}
		if m := event.Message; m != nil {
			fmt.Println(m.Sender.Name, "says:", m.Message)
			break
		}
		if s := event.State; s != nil {
			fmt.Println(s.State)
		}
	}

	_, err = c.People(ctx, "secret")
	if refused, ok := errors.AsType[*client.Error](err); ok {
		fmt.Println(refused.Status, refused.Detail)
	}
	// Output:
	// sent: k3f9-7
	// connecting
	// connected
	// alice says: The build is green.
	// 404 there is no room "secret"
}

// smallServer is as much of a server as the example needs.
func smallServer() *httptest.Server {
	const message = `{"id":"k3f9-7","type":"message","room":"general","sender":{"name":"alice"},"message":"The build is green.","time":"2026-11-20T16:00:00.000Z"}`
	answer := func(w http.ResponseWriter, typ string, status int, body []byte) {
		w.Header().Set("Content-Type", typ)
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/rooms/general/messages", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "application/json", http.StatusCreated, []byte(message))
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, sse.ContentType, http.StatusOK, sse.Append(nil, sse.Event{ID: "k3f9-7", Name: "message", Data: []byte(message)}))
	})
	mux.HandleFunc("GET /api/rooms/secret/members", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "application/problem+json", http.StatusNotFound, []byte(`{"detail":"there is no room \"secret\""}`))
	})
	return httptest.NewServer(mux)
}
