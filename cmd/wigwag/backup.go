package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wigwag/store"
)

// deskWriteTimeout bounds each write of a backup to whoever takes it.
const deskWriteTimeout = 30 * time.Second

func backupCommand(env environment) *cobra.Command {
	o := &operator{env: env}
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Save all that is kept to a file, while the server runs or not",
		Long: "Save messages, rooms, users, sessions and keys, as they are at one moment, to FILE, which ends in .tar or .tar.gz\n" +
			"and does not exist yet. The server goes on meanwhile. The file is checked before it gets its name.\n\n" +
			"It holds password hashes and the keys that tokens are signed with: keep it as secret as the data folder.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := o.backup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return printBackup(cmd.OutOrStdout(), args[0]+" holds", b)
		},
	}
	o.register(cmd)
	return cmd
}

// backup writes a backup to a file that does not exist.
func (o *operator) backup(ctx context.Context, name string) (b store.Backup, err error) {
	zipped := strings.HasSuffix(name, ".tar.gz")
	if !zipped && !strings.HasSuffix(name, ".tar") {
		return b, fmt.Errorf("%s: a backup's name ends in .tar or .tar.gz", name)
	}
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		return b, fmt.Errorf("%s is there already; a backup replaces no file", name)
	}
	dir, err := o.folder()
	if err != nil {
		return b, err
	}
	if _, err := os.Stat(dir); err != nil {
		return b, fmt.Errorf("there is no data folder: %w", err) // none is made to be saved
	}
	part := name + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return b, err // left behind by a command that was killed
	}
	file, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return b, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	err = o.run(ctx, func(c *deskClient) error { return c.backup(ctx, file, zipped) })
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err == nil {
		b, err = checkBackup(file)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return b, err
	}
	return b, os.Rename(part, name)
}

// backup copies a backup from the desk.
func (c *deskClient) backup(ctx context.Context, w io.Writer, zipped bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://desk/backup", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if zipped {
		zip := gzip.NewWriter(w)
		_, err = io.Copy(zip, resp.Body)
		err = errors.Join(err, zip.Close())
	} else {
		_, err = io.Copy(w, resp.Body)
	}
	if err != nil {
		return fmt.Errorf("the backup broke off: %w", err)
	}
	return nil
}

// serveBackup is the desk's part. An error after the beginning breaks off the
// answer; the backup is then not complete.
func (d *desk) serveBackup(w http.ResponseWriter, r *http.Request) {
	if !d.backingUp.TryLock() {
		http.Error(w, "another backup is being made", http.StatusConflict)
		return
	}
	defer d.backingUp.Unlock()
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // a connection of net/http knows deadlines
	w.Header().Set("Content-Type", "application/x-tar")
	if _, err := d.store.Backup(r.Context(), patientWriter{w, rc}); err != nil {
		d.logger.Error("a backup broke off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// patientWriter gives every write a deadline of its own.
type patientWriter struct {
	io.Writer
	rc *http.ResponseController
}

func (w patientWriter) Write(p []byte) (int, error) {
	if err := w.rc.SetWriteDeadline(time.Now().Add(deskWriteTimeout)); err != nil {
		return 0, err
	}
	return w.Writer.Write(p)
}

// checkBackup checks a backup, zipped or not.
func checkBackup(r io.Reader) (store.Backup, error) {
	tar, err := unzipped(r)
	if err != nil {
		return store.Backup{}, err
	}
	return store.CheckBackup(tar)
}

// unzipped reads what may be zipped.
func unzipped(r io.Reader) (io.Reader, error) {
	start := make([]byte, 2)
	n, err := io.ReadFull(r, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	r = io.MultiReader(bytes.NewReader(start[:n]), r)
	if !bytes.Equal(start, []byte{0x1f, 0x8b}) {
		return r, nil
	}
	return gzip.NewReader(r)
}

// printBackup says what a backup holds.
func printBackup(w io.Writer, begin string, b store.Backup) error {
	var counts []string
	for _, s := range b.Streams {
		counts = append(counts, fmt.Sprintf("%d %s", s.Records, s.Name))
	}
	_, err := fmt.Fprintf(w, "%s what there was on %s: %s\n", begin, b.Created.Format("2006-01-02 at 15:04:05 UTC"), strings.Join(counts, ", "))
	return err
}
