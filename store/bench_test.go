package store

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	for _, sync := range []string{SyncAlways, SyncInterval} {
		for _, writers := range []int{1, 50} {
			b.Run(fmt.Sprintf("%s/%d", sync, writers), func(b *testing.B) {
				log := open(b, Options{Dir: b.TempDir(), Sync: sync}).Messages()
				data := make([]byte, 200)
				var n atomic.Int64
				b.SetParallelism((writers + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
				appendAll := func() {
					if _, err := log.Append(b.Context(), Entry{Subject: fmt.Sprint("room.", n.Add(1)%100), Data: data}); err != nil {
						b.Fatal(err)
					}
				}
				if writers == 1 {
					for b.Loop() {
						appendAll()
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						appendAll()
					}
				})
			})
		}
	}
}

// BenchmarkRead reads the newest 50 records of one subject, and of four.
func BenchmarkRead(b *testing.B) {
	log := open(b, Options{Dir: b.TempDir(), Sync: SyncInterval}).Messages()
	for i := range 20_000 {
		add(b, log, fmt.Sprint("room.", i%100), "hello")
	}
	for _, names := range [][]string{nil, {"room.7"}, {"room.1", "room.2", "room.3", "room.4"}} {
		for _, latest := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d subjects, latest %t", len(names), latest), func(b *testing.B) {
				for b.Loop() {
					if n := len(read(b, log, Range{Subjects: names, Limit: 50, Latest: latest})); n != 50 {
						b.Fatal(n)
					}
				}
			})
		}
	}
}

func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	st := open(b, Options{Dir: dir, Sync: SyncInterval})
	for i := range 20_000 {
		add(b, st.Messages(), fmt.Sprint("room.", i%100), "hello")
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		st, err := tryOpen(b, Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

func BenchmarkIdleMemory(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		st := open(b, Options{Dir: b.TempDir()})
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "heap-MB")
		b.ReportMetric(float64(after.Sys)/(1<<20), "sys-MB")
		b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
		if err := st.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
