package main

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	// limitAuto and limitNone are the values of --memory-limit beside sizes.
	limitAuto = "auto"
	limitNone = "none"
	// leastMemory is the least that may be asked for: an idle server needs half
	// of it.
	leastMemory = 32 << 20
)

// memoryLimit is how much memory the process may use, in bytes, and where that
// is said; 0 is no limit. The flag goes before GOMEMLIMIT, which is in force
// already and has come to inForce, and that before nine tenths of what the
// control groups allow; system is the root of the file system.
func memoryLimit(flag string, env environment, inForce int64, system fs.FS) (limit int64, from string, err error) {
	switch flag {
	case limitNone:
		return 0, "--memory-limit", nil
	case limitAuto:
		if env["GOMEMLIMIT"] != "" {
			return bounded(inForce), "GOMEMLIMIT", nil
		}
		return cgroupLimit(system) / 10 * 9, "cgroup", nil
	}
	var size byteSize
	if err := size.Set(flag); err != nil {
		return 0, "", fmt.Errorf("--memory-limit: %w; also %q and %q", err, limitAuto, limitNone)
	}
	if size < leastMemory {
		return 0, "", fmt.Errorf("--memory-limit is %s; it must be 32MiB or more", flag)
	}
	return int64(size), "--memory-limit", nil
}

// cgroupLimit is the tightest limit of the process's control groups and those
// they are in, of version 1 or 2, in bytes; 0 is none.
func cgroupLimit(system fs.FS) int64 {
	groups, _ := fs.ReadFile(system, "proc/self/cgroup") // there is none but on Linux
	tightest := int64(math.MaxInt64)
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		if len(fields) != 3 {
			continue
		}
		root, file := "sys/fs/cgroup", "memory.max"
		if fields[1] != "" {
			root, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
			if !slices.Contains(strings.Split(fields[1], ","), "memory") {
				continue
			}
		}
		// Within a container the path can be that on its host, and the group's own
		// files are at the root: all on the way there are looked at.
		for dir := path.Clean("/" + fields[2]); ; dir = path.Dir(dir) {
			text, _ := fs.ReadFile(system, path.Join(root, dir, file))
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
				tightest = min(tightest, n)
			}
			if dir == "/" {
				break
			}
		}
	}
	return bounded(tightest)
}

// bounded is a limit, or 0 for one that is so high that it stands for none.
func bounded(limit int64) int64 {
	if limit >= 1<<60 {
		return 0
	}
	return limit
}
