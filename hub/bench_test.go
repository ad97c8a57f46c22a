package hub

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
)

// BenchmarkFanOut is one message to many listeners, each of which encodes it,
// until the last one has it.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, err := New(b.Context(), Options{Log: NewMemoryLog(1 << 30), Users: people, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			var left atomic.Int64
			all := make(chan struct{}, 1)
			for range n {
				l, err := h.Listen(b.Context(), bob, ListenOptions{Types: []string{"message"}})
				if err != nil {
					b.Fatal(err)
				}
				go func() { // ends with the hub
					for {
						events, err := l.Next(context.Background())
						if err != nil {
							return
						}
						for _, e := range events {
							e.Frame("sse", func() []byte { return []byte(e.Message.Message) })
							if left.Add(-1) == 0 {
								all <- struct{}{}
							}
						}
					}
				}()
			}
			b.ReportAllocs()
			for b.Loop() {
				left.Store(int64(n))
				if _, _, err := h.Send(b.Context(), alice, Draft{Text: "hello"}); err != nil {
					b.Fatal(err)
				}
				<-all
			}
			h.Close()
		})
	}
}
