//go:build linux || darwin || freebsd

package store

import "syscall"

// freeSpace is how many bytes may be written to the disk of a folder.
func freeSpace(folder string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(folder, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:gosec,unconvert // types differ between systems
}
