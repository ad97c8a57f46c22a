package auth

import (
	"bytes"
	"sync"
)

// maxParsed bounds [parsed].
const maxParsed = maxCredentials

// parsed remembers what stored values say: every request asks for its user's
// and its token's. It is asked with the value of the moment, so it cannot be
// out of date. What it returns is shared: what it points to is not changed.
type parsed[T any] struct {
	mu sync.RWMutex
	by map[string]parsedValue[T] // guarded by mu; at most maxParsed
}

type parsedValue[T any] struct {
	value  []byte
	record T
}

func (p *parsed[T]) get(key string, value []byte) (record T, ok bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if r, ok := p.by[key]; ok && bytes.Equal(r.value, value) {
		return r.record, true
	}
	return record, false // not an older one: the caller decodes into it
}

// add remembers a record. When there is no place left any other gives way.
func (p *parsed[T]) add(key string, value []byte, record T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = make(map[string]parsedValue[T])
	}
	for other := range p.by {
		if len(p.by) < maxParsed {
			break
		}
		delete(p.by, other)
	}
	p.by[key] = parsedValue[T]{value, record}
}

// forget lets go of what is stored no more.
func (p *parsed[T]) forget(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, key)
}
