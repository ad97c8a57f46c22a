package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// errSharing is ERROR_SHARING_VIOLATION.
const errSharing syscall.Errno = 32

// lock opens a file that nobody else can open until it is closed.
func lock(name string) (*os.File, error) {
	path, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	h, err := syscall.CreateFile(path, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errSharing) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	return os.NewFile(uintptr(h), name), nil
}

// isLocked tells whether a file is there and locked.
func isLocked(name string) bool {
	f, err := os.Open(name)
	if err == nil {
		f.Close()
	}
	return errors.Is(err, errSharing)
}

// fileID identifies a file within its file system: a copy has another one.
func fileID(f *os.File) (uint64, error) {
	var info syscall.ByHandleFileInformation
	err := syscall.GetFileInformationByHandle(syscall.Handle(f.Fd()), &info)
	return uint64(info.FileIndexHigh)<<32 | uint64(info.FileIndexLow), err
}

// syncFolder: renames need no more than the file's own sync here.
func syncFolder(string) error { return nil }
