//go:build unix

package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock opens a file and locks it until it is closed or the process ends.
func lock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = ErrLocked
	case err != nil:
		err = fmt.Errorf("it cannot be locked: %w", err)
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// isLocked tells whether a file is there and locked.
func isLocked(name string) bool {
	f, err := os.Open(name) //nolint:gosec // the operator names the folder
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// fileID identifies a file within its file system: a copy has another one.
func fileID(f *os.File) (uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino, nil
	}
	return 0, nil
}

// syncFolder makes renames within a folder durable.
func syncFolder(name string) error {
	d, err := os.Open(name) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
