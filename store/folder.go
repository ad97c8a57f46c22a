package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// format is the version of everything in a data folder. A folder of a higher
// one is refused.
const format = 1

// Files of a data folder, beside the server's folder.
const (
	lockName      = "lock"       // held while the store is open
	aboutName     = "store.json" // an about
	headsName     = "heads"      // how far each stream had come; see head
	jetstreamName = "jetstream"
)

// about is what a data folder says of itself.
type about struct {
	Format int `json:"format"`
	// LockID identifies the lock's file. A copied or restored folder has
	// another one than is written here.
	LockID uint64 `json:"lock_id"`
	// Running is how a store that is open syncs; "" after a clean end.
	Running string `json:"running"`
	// Streams are those that exist, and their epochs. One that is being made
	// is not here yet.
	Streams map[string]streamAbout `json:"streams"`
}

type streamAbout struct {
	Epoch string `json:"epoch,omitempty"`
}

// folder is an open data folder.
type folder struct {
	path  string
	lock  *os.File
	heads *os.File
	about about
	isNew bool
	// uncertain says why sequences may have been used that the log does not
	// know; "" if they have not.
	uncertain string
}

// openFolder makes or opens a data folder and locks it.
func openFolder(path string) (_ *folder, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("data folder %s: %w", path, err)
		}
	}()
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	f := &folder{path: path}
	if f.lock, err = lock(filepath.Join(path, lockName)); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if err := f.readAbout(); err != nil {
		return nil, err
	}
	f.heads, err = os.OpenFile(filepath.Join(path, headsName), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	return f, nil
}

// readAbout reads what the folder says of itself and judges it.
func (f *folder) readAbout() error {
	lockID, err := fileID(f.lock)
	if err != nil {
		return err
	}
	name := filepath.Join(f.path, aboutName)
	data, err := os.ReadFile(name) //nolint:gosec // the operator names the folder
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(f.path, jetstreamName)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: it holds data, but %s is missing", ErrDamaged, aboutName)
		}
		f.isNew = true
		f.about = about{Format: format, LockID: lockID, Streams: map[string]streamAbout{}}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := json.Unmarshal(data, &f.about); err != nil {
		return fmt.Errorf("%w: %s cannot be read: %w", ErrDamaged, aboutName, err)
	}
	if f.about.Format < 1 {
		return fmt.Errorf("%w: %s names no format", ErrDamaged, aboutName)
	}
	if f.about.Format > format {
		return fmt.Errorf("%w: its format is %d, this one knows formats up to %d", ErrNewer, f.about.Format, format)
	}
	if f.about.Streams == nil {
		f.about.Streams = map[string]streamAbout{}
	}
	switch {
	case f.about.LockID != lockID:
		f.uncertain = "the data folder was copied or restored"
	case f.about.Running == SyncInterval:
		f.uncertain = "the store was not closed, and it did not sync every write"
	}
	f.about.LockID = lockID
	return nil
}

// save writes what the folder says of itself, durably and at once.
func (f *folder) save() error {
	data, err := json.MarshalIndent(f.about, "", "  ")
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(f.path, aboutName), append(data, '\n')); err != nil {
		return fmt.Errorf("data folder %s: %w: %w", f.path, ErrUnwritable, err)
	}
	return nil
}

// replace writes a file so that it is the old or the new one after a crash.
func replace(name string, data []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

// headSize is the size of one stream's line in the file of heads.
const headSize = 96

// head is how far a stream has come.
type head struct {
	seq  uint64 // the last record
	kept uint64 // the last that nothing but its age may remove; 0: unknown
	// count is how many of those there are, or fewer. It means nothing where
	// records are evicted or replaced.
	count uint64
}

// readHead reads how far a stream had come. It is written by writeHead whenever
// the stream grows, which survives the end of the process; it is not synced, so
// after a power loss it may be behind, which does no harm.
func (f *folder) readHead(slot int, name string) (h head, err error) {
	b := make([]byte, headSize)
	n, err := f.heads.ReadAt(b, int64(slot)*headSize)
	if n == 0 && errors.Is(err, io.EOF) || len(bytes.Trim(b, "\x00")) == 0 {
		return head{}, nil
	}
	var found string
	if _, err := fmt.Sscanf(string(b[:n]), "%s %d %d %d\n", &found, &h.seq, &h.kept, &h.count); err != nil || found != name {
		return head{}, fmt.Errorf("%w: %s cannot be read", ErrDamaged, headsName)
	}
	return h, nil
}

func (f *folder) writeHead(slot int, name string, h head) error {
	_, err := f.heads.WriteAt(fmt.Appendf(nil, "%-*s %020d %020d %020d\n", headSize-64, name, h.seq, h.kept, h.count), int64(slot)*headSize)
	return err
}

// close releases the folder.
func (f *folder) close() {
	if f.heads != nil {
		f.heads.Close()
	}
	f.lock.Close()
}
