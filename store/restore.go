package store

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats-server/v2/server/archive"
	"github.com/nats-io/nats.go/jetstream"
)

// restoringName is the folder, within a data folder, where a backup is unpacked.
const restoringName = "restoring"

// Restore makes a data folder of a backup, in a folder that is empty or does not
// exist. It is made whole or not at all. Messages keep their sequences and
// times, but the epochs are new, since what was stored after the backup had
// sequences, too. Errors are [ErrNotEmpty], those of [CheckBackup] and [Open].
func Restore(ctx context.Context, dir string, r io.Reader, logger *slog.Logger) (b Backup, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Backup{}, fmt.Errorf("data folder %s: %w: %w", dir, ErrUnwritable, err)
	}
	locked, err := lock(filepath.Join(dir, lockName))
	if err != nil {
		return Backup{}, fmt.Errorf("data folder %s: %w", dir, err)
	}
	defer locked.Close()
	there, err := os.ReadDir(dir)
	if err != nil {
		return Backup{}, err
	}
	for _, entry := range there {
		// The lock is ours, and what is half restored is of an attempt that was
		// killed.
		if entry.Name() != lockName && entry.Name() != restoringName {
			return Backup{}, fmt.Errorf("data folder %s: %w: there is %s", dir, ErrNotEmpty, entry.Name())
		}
	}
	id, err := fileID(locked)
	if err != nil {
		return Backup{}, err
	}
	staged := filepath.Join(dir, restoringName)
	if err := errors.Join(os.RemoveAll(staged), os.Mkdir(staged, 0o700)); err != nil {
		return Backup{}, fmt.Errorf("data folder %s: %w: %w", dir, ErrUnwritable, err)
	}
	f := &folder{path: dir, lock: locked, about: about{Format: format, LockID: id, Streams: map[string]streamAbout{}}}
	if b, err = f.unpack(ctx, staged, r, logger); err == nil {
		err = f.adopt(staged)
	}
	if err != nil {
		return Backup{}, errors.Join(err, os.RemoveAll(staged), os.Remove(filepath.Join(dir, lockName)))
	}
	return b, nil
}

// unpack makes the contents of a data folder in staged, without what the folder
// says of itself.
func (f *folder) unpack(ctx context.Context, staged string, r io.Reader, logger *slog.Logger) (b Backup, err error) {
	if f.heads, err = os.OpenFile(filepath.Join(staged, headsName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil { //nolint:gosec // the operator names the folder
		return Backup{}, err
	}
	defer func() { err = errors.Join(err, f.heads.Close()) }()
	e, err := startEngine(ctx, staged, SyncInterval, logger)
	if err != nil {
		return Backup{}, err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	all := specs(Options{MaxBytes: DefaultMaxBytes, LineBytes: DefaultLineBytes, StreamBytes: DefaultStreamBytes}) // opening it sets them
	return readBackup(r, func(saved SavedStream) (recordTaker, error) {
		slot := slices.IndexFunc(all, func(sp spec) bool { return sp.name == saved.Name })
		if slot < 0 {
			return nil, notBackup(fmt.Sprintf("this wigwag knows no %q", saved.Name))
		}
		about := streamAbout{}
		if !all[slot].bucket {
			about.Epoch = newEpoch()
		}
		f.about.Streams[saved.Name] = about
		return f.newRestorer(ctx, e, slot, all[slot], saved)
	})
}

// adopt makes staged the data folder's contents. What it says of itself comes
// last: until then it is refused as damaged.
func (f *folder) adopt(staged string) error {
	err := filepath.WalkDir(staged, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return syncFolder(name)
		}
		file, err := os.OpenFile(name, os.O_RDWR, 0) //nolint:gosec // of the folder
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
	if err != nil {
		return err
	}
	for _, name := range []string{headsName, jetstreamName} {
		if err := os.Rename(filepath.Join(staged, name), filepath.Join(f.path, name)); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(staged), f.save())
}

// restorer writes one stream: it makes of the records what the server restores
// streams from, its own archive in frames of the Snappy format.
type restorer struct {
	f     *folder
	e     *engine
	slot  int
	spec  spec
	saved SavedStream
	head  head

	out      *archive.Writer
	buffered *bufio.Writer
	pipe     *io.PipeWriter
	done     chan error
}

func (f *folder) newRestorer(ctx context.Context, e *engine, slot int, sp spec, saved SavedStream) (recordTaker, error) {
	if saved.First == 0 || saved.First-1 > saved.Last {
		return nil, notBackup(fmt.Sprintf("%s begins at %d and ends at %d", saved.Name, saved.First, saved.Last))
	}
	config, err := json.Marshal((&stream{spec: sp}).config(false))
	if err != nil {
		return nil, err
	}
	var c server.StreamConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	in, pipe := io.Pipe()
	r := &restorer{f: f, e: e, slot: slot, spec: sp, saved: saved, head: head{seq: saved.Last}, pipe: pipe, done: make(chan error, 1)}
	r.buffered = bufio.NewWriterSize(&snappyFrames{w: pipe}, frameBytes)
	r.out = archive.NewWriter(r.buffered)
	go func() { // ends with the pipe
		_, err := e.server.GlobalAccount().RestoreStreamV2(&c, in)
		_ = in.CloseWithError(errors.Join(errors.New("the server takes no more"), err)) // always nil
		r.done <- err
	}()
	state, err := json.Marshal(server.StreamState{FirstSeq: saved.First, LastSeq: saved.Last})
	if err == nil {
		err = r.write(&archive.Header{Name: "state.json", Timestamp: 1}, nil, state)
	}
	if err != nil {
		return nil, r.fail(err)
	}
	return r, ctx.Err()
}

func (r *restorer) write(h *archive.Header, header, data []byte) error {
	h.HeaderSize, h.PayloadSize = int64(len(header)), int64(len(data))
	if err := r.out.WriteHeader(h); err != nil {
		return err
	}
	if _, err := r.out.Write(header); err != nil {
		return err
	}
	_, err := r.out.Write(data)
	return err
}

func (r *restorer) take(rec savedRecord) error {
	var header []byte
	for name, value := range map[string]string{jetstream.MsgTTLHeader: rec.TTL, jetstream.MsgIDHeader: rec.ID} {
		if value != "" {
			header = fmt.Appendf(header, "%s: %s\r\n", name, value)
		}
	}
	if header != nil {
		header = fmt.Appendf(nil, "NATS/1.0\r\n%s\r\n", header)
	}
	if rec.TTL == "" {
		r.head.kept = rec.Seq
		r.head.count++
	}
	return r.write(&archive.Header{Name: r.spec.name + "." + rec.Subject, Sequence: rec.Seq, Timestamp: rec.Time.UnixNano()}, header, rec.Data)
}

// end waits until the server has it all.
func (r *restorer) end() error {
	err := r.write(&archive.Header{}, nil, nil)
	if err == nil {
		err = r.buffered.Flush()
	}
	if err != nil {
		return r.fail(err)
	}
	if err := errors.Join(r.pipe.Close(), <-r.done); err != nil {
		return fmt.Errorf("restoring %s: %w", r.spec.name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	js, err := r.e.js.Stream(ctx, r.spec.name)
	if err != nil {
		return err
	}
	if last := js.CachedInfo().State.LastSeq; last != r.saved.Last {
		return fmt.Errorf("restoring %s: it ends at %d, not at %d", r.spec.name, last, r.saved.Last)
	}
	return r.f.writeHead(r.slot, r.spec.name, r.head)
}

// fail ends the server's part after an error.
func (r *restorer) fail(err error) error {
	_ = r.pipe.CloseWithError(err) // always nil
	return fmt.Errorf("restoring %s: %w", r.spec.name, errors.Join(err, <-r.done))
}

// frameBytes is the most that a frame holds.
const frameBytes = 64 << 10

// snappyFrames frames what is written in the Snappy framing format, without
// compressing it.
type snappyFrames struct {
	w     io.Writer
	begun bool
}

func (s *snappyFrames) Write(p []byte) (int, error) {
	if !s.begun {
		if _, err := io.WriteString(s.w, "\xff\x06\x00\x00sNaPpY"); err != nil {
			return 0, err
		}
		s.begun = true
	}
	for n := range slices.Chunk(p, frameBytes) {
		crc := crc32.Checksum(n, crc32.MakeTable(crc32.Castagnoli))
		frame := binary.LittleEndian.AppendUint32(nil, 1|uint32(len(n)+4)<<8) //nolint:gosec // of at most frameBytes
		frame = binary.LittleEndian.AppendUint32(frame, (crc>>15|crc<<17)+0xa282ead8)
		if _, err := s.w.Write(append(frame, n...)); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
