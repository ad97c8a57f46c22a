package store

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A backup is a tar file. Its first entry, backup.json, is a [Backup]. Then, for
// each stream in that order, come entries STREAM/00000001 and so on, each of
// lines of JSON, a savedRecord a line, in the order of sequences. The last entry,
// end.json, tells how many records there are of each stream, and a SHA-256 of
// the names and contents of all entries before it. Without it a backup is not
// complete.
const (
	backupFormat = 1
	backupBegin  = "backup.json"
	backupEnd    = "end.json"
	partBytes    = 1 << 20       // an entry ends with the record that reaches it
	partLimit    = 4 * partBytes // so no entry is longer
)

// Backup says what a backup holds.
type Backup struct {
	Format  int           `json:"format"`
	Created time.Time     `json:"created"`
	Streams []SavedStream `json:"streams"`
}

// SavedStream says where a stream stood.
type SavedStream struct {
	Name  string `json:"name"`
	First uint64 `json:"first"` // no record comes before it; Last+1 when there is none
	Last  uint64 `json:"last"`
	// Records is how many there are; of the end, not of the beginning.
	Records uint64 `json:"records,omitempty"`
}

// savedRecord is a record as it is stored.
type savedRecord struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"` // as [encode] makes it
	Data    []byte    `json:"data"`
	TTL     string    `json:"ttl,omitempty"`
	ID      string    `json:"id,omitempty"` // as [encode] makes it
}

type backupSums struct {
	Records map[string]uint64 `json:"records"`
	SHA256  string            `json:"sha256"`
}

// Backup writes all that is kept, as it is at one moment, except what was
// streamed to clients. Messages stored meanwhile are not in it; rooms and users
// are not older than the messages. It has password hashes and keys in it. The
// memory it takes does not depend on how much there is. See [Restore].
func (st *Store) Backup(ctx context.Context, w io.Writer) (Backup, error) {
	b := Backup{Format: backupFormat, Created: time.Now().UTC().Truncate(time.Second)}
	// What answers a repeated call, or tells what was read, must not tell of
	// messages that are not in the backup: it is looked at before them. Rooms and users are after.
	var parts []savedPart
	for _, name := range []string{Idempotency, Marks, Sessions, messagesName, linesName, Rooms, Users, Credentials, OAuth, Keys} {
		p, err := st.savedPart(ctx, name)
		if err != nil {
			return Backup{}, err
		}
		parts = append(parts, p)
		b.Streams = append(b.Streams, p.SavedStream)
	}
	out := &backupWriter{tw: tar.NewWriter(w), created: b.Created, sum: sha256.New(), sums: backupSums{Records: map[string]uint64{}}}
	if err := out.entryJSON(backupBegin, b); err != nil {
		return Backup{}, err
	}
	for i, p := range parts {
		if err := p.write(ctx, out); err != nil {
			return Backup{}, fmt.Errorf("backup of %s: %w", p.Name, err)
		}
		b.Streams[i].Records = out.sums.Records[p.Name]
	}
	out.sums.SHA256 = hex.EncodeToString(out.sum.Sum(nil))
	if err := out.entryJSON(backupEnd, out.sums); err != nil {
		return Backup{}, err
	}
	return b, out.tw.Close()
}

// savedPart is a stream to be saved as it was at a moment.
type savedPart struct {
	SavedStream
	s      *stream
	values []savedRecord // of a bucket: these, and not from disk; their data is shared
}

func (st *Store) savedPart(ctx context.Context, name string) (savedPart, error) {
	if b, ok := st.buckets[name]; ok {
		return b.saved(), nil
	}
	s := st.messages.s
	if name == linesName {
		s = st.lines.s
	}
	first, last, err := s.head(ctx)
	return savedPart{SavedStream: SavedStream{Name: name, First: first, Last: last}, s: s}, err
}

// saved takes a bucket's values as they are now.
func (b *Bucket) saved() savedPart {
	b.mu.RLock()
	defer b.mu.RUnlock()
	p := savedPart{SavedStream: SavedStream{Name: b.s.name, First: b.applied + 1, Last: b.applied}, s: b.s, values: make([]savedRecord, 0, len(b.values))}
	for key, v := range b.values {
		p.values = append(p.values, savedRecord{Seq: v.revision, Time: v.at, Subject: encode(key), Data: v.data})
	}
	slices.SortFunc(p.values, func(x, y savedRecord) int { return cmp.Compare(x.Seq, y.Seq) })
	if len(p.values) > 0 {
		p.First = p.values[0].Seq
	}
	return p
}

func (p *savedPart) write(ctx context.Context, out *backupWriter) error {
	if p.values != nil {
		for _, r := range p.values {
			r.Data = append([]byte{isValue}, r.Data...)
			if err := out.record(p.Name, r); err != nil {
				return err
			}
		}
		return out.endPart(p.Name)
	}
	g, err := p.s.newGetter()
	if err != nil {
		return err
	}
	defer g.end()
	var page []savedRecord
	g.seen = func(m *nats.Msg) {
		if r, ok := readRecord(m); ok && r.Seq <= p.Last {
			page = append(page, savedRecord{
				Seq: r.Seq, Time: r.Time, Subject: encode(r.Subject), Data: r.Data,
				TTL: m.Header.Get(jetstream.MsgTTLHeader), ID: m.Header.Get(jetstream.MsgIDHeader),
			})
		}
	}
	get := directGet{Seq: p.First, NextFor: p.Name + ".*", MaxBytes: readPageBytes}
	for more := p.First <= p.Last; more && get.Seq <= p.Last; {
		page, get.Batch = page[:0], readPage
		// It is written after it was read: whoever takes it may be slow.
		if get.Seq, more, err = g.page(ctx, get, p.Last, func(Record) bool { return true }); err != nil {
			return err
		}
		for _, r := range page {
			if err := out.record(p.Name, r); err != nil {
				return err
			}
		}
	}
	return out.endPart(p.Name)
}

// backupWriter writes the entries of a backup.
type backupWriter struct {
	tw      *tar.Writer
	created time.Time
	sum     hash.Hash
	sums    backupSums
	part    bytes.Buffer
	parts   int // of the stream
}

func (w *backupWriter) record(stream string, r savedRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	w.part.Write(line)
	w.part.WriteByte('\n')
	w.sums.Records[stream]++
	if w.part.Len() < partBytes {
		return nil
	}
	return w.flush(stream)
}

func (w *backupWriter) flush(stream string) error {
	w.parts++
	err := w.entry(fmt.Sprintf("%s/%08d", stream, w.parts), w.part.Bytes())
	w.part.Reset()
	return err
}

func (w *backupWriter) endPart(stream string) error {
	var err error
	if w.part.Len() > 0 {
		err = w.flush(stream)
	}
	w.parts = 0
	return err
}

func (w *backupWriter) entryJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return w.entry(name, append(data, '\n'))
}

func (w *backupWriter) entry(name string, data []byte) error {
	sumEntry(w.sum, name, data)
	if err := w.tw.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data)), ModTime: w.created}); err != nil {
		return err
	}
	_, err := w.tw.Write(data)
	return err
}

func sumEntry(sum hash.Hash, name string, data []byte) {
	_, _ = fmt.Fprintf(sum, "%s\n%d\n", name, len(data)) // a hash never fails
	_, _ = sum.Write(data)
}

// CheckBackup reads a backup to its end and returns what it holds. It fails
// with [ErrDamaged] unless it is complete and as it was written, and with
// [ErrNewer] when it is of a newer wigwag.
func CheckBackup(r io.Reader) (Backup, error) {
	return readBackup(r, func(SavedStream) (recordTaker, error) { return ignored{}, nil })
}

// recordTaker takes the records of one stream.
type recordTaker interface {
	take(savedRecord) error
	end() error
}

type ignored struct{}

func (ignored) take(savedRecord) error { return nil }
func (ignored) end() error             { return nil }

// readBackup reads a backup and hands the records of each stream to a taker of
// its own. Whether they are as they were written is known only at the end.
func readBackup(r io.Reader, open func(SavedStream) (recordTaker, error)) (Backup, error) {
	in := &backupReader{tr: tar.NewReader(r), sum: sha256.New(), records: map[string]uint64{}}
	var b Backup
	name, data, err := in.next()
	if err != nil {
		return Backup{}, err
	}
	if err := json.Unmarshal(data, &b); name != backupBegin || err != nil || b.Format < 1 {
		return Backup{}, notBackup("it does not begin as a backup does")
	}
	if b.Format > backupFormat {
		return Backup{}, fmt.Errorf("%w: the backup's format is %d, this one knows formats up to %d", ErrNewer, b.Format, backupFormat)
	}
	if name, data, err = in.next(); err != nil {
		return Backup{}, err
	}
	for i, s := range b.Streams {
		taker, err := open(s)
		if err != nil {
			return Backup{}, err
		}
		for part := 1; err == nil && name == fmt.Sprintf("%s/%08d", s.Name, part); part++ {
			if err = in.take(s, data, taker); err == nil {
				name, data, err = in.next()
			}
		}
		if endErr := taker.end(); err == nil {
			err = endErr
		}
		if err != nil {
			return Backup{}, err
		}
		b.Streams[i].Records = in.records[s.Name]
	}
	var sums backupSums
	if err := json.Unmarshal(data, &sums); name != backupEnd || err != nil {
		return Backup{}, notBackup(fmt.Sprintf("there is %q where it should end", name))
	}
	if sums.SHA256 != hex.EncodeToString(in.before) {
		return Backup{}, notBackup("it was changed: its checksum differs")
	}
	for _, s := range b.Streams {
		if sums.Records[s.Name] != s.Records {
			return Backup{}, notBackup(fmt.Sprintf("%d of %d records of %s are there", s.Records, sums.Records[s.Name], s.Name))
		}
	}
	return b, nil
}

type backupReader struct {
	tr      *tar.Reader
	sum     hash.Hash
	before  []byte // the sum of all but the last entry
	records map[string]uint64
}

// next reads an entry.
func (in *backupReader) next() (name string, data []byte, err error) {
	hdr, err := in.tr.Next()
	if err != nil {
		return "", nil, notBackup(fmt.Sprintf("it is cut off, or no tar file: %v", err))
	}
	if hdr.Typeflag != tar.TypeReg || hdr.Size > partLimit {
		return "", nil, notBackup(fmt.Sprintf("%q does not belong in it", hdr.Name))
	}
	if data, err = io.ReadAll(in.tr); err != nil {
		return "", nil, notBackup(fmt.Sprintf("%s cannot be read: %v", hdr.Name, err))
	}
	in.before = in.sum.Sum(nil)
	sumEntry(in.sum, hdr.Name, data)
	return hdr.Name, data, nil
}

// take hands the records of an entry on.
func (in *backupReader) take(s SavedStream, data []byte, taker recordTaker) error {
	lines := json.NewDecoder(bytes.NewReader(data))
	for lines.More() {
		var r savedRecord
		if err := lines.Decode(&r); err != nil {
			return notBackup(fmt.Sprintf("a record of %s cannot be read: %v", s.Name, err))
		}
		if r.Seq < s.First || r.Seq > s.Last || strings.ContainsAny(r.Subject+r.TTL+r.ID, ". *>\r\n") || r.Subject == "" {
			return notBackup(fmt.Sprintf("record %d does not belong in %s", r.Seq, s.Name))
		}
		if err := taker.take(r); err != nil {
			return err
		}
		in.records[s.Name]++
	}
	return nil
}

func notBackup(why string) error {
	return fmt.Errorf("the backup cannot be used: %w: %s", ErrDamaged, why)
}
