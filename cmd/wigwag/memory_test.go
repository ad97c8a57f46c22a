package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// files makes a file system of paths and contents.
func files(pairs ...string) fstest.MapFS {
	system := fstest.MapFS{}
	for pair := range slices.Chunk(pairs, 2) {
		system[pair[0]] = &fstest.MapFile{Data: []byte(pair[1])}
	}
	return system
}

func TestCgroupLimit(t *testing.T) {
	const (
		self    = "proc/self/cgroup"
		v1      = "sys/fs/cgroup/memory/"
		noLimit = "9223372036854771712\n" // what version 1 says then
	)
	for name, tt := range map[string]struct {
		system fstest.MapFS
		want   int64
	}{
		"no Linux":                {files(), 0},
		"v2 service":              {files(self, "0::/system.slice/wigwag.service\n", "sys/fs/cgroup/system.slice/wigwag.service/memory.max", "1073741824\n"), 1 << 30},
		"v2 without a limit":      {files(self, "0::/a\n", "sys/fs/cgroup/a/memory.max", "max\n"), 0},
		"v2 limit above":          {files(self, "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "max\n", "sys/fs/cgroup/a/memory.max", "4096\n"), 4096},
		"v2 tighter above":        {files(self, "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max", "8192\n", "sys/fs/cgroup/a/memory.max", "4096\n"), 4096},
		"v2 container":            {files(self, "0::/\n", "sys/fs/cgroup/memory.max", "536870912\n"), 512 << 20},
		"v2 outside of the mount": {files(self, "0::/../../x\n", "sys/fs/cgroup/memory.max", "536870912\n"), 512 << 20},
		"v1 service":              {files(self, "5:cpu,cpuacct:/x\n4:memory:/a\n", v1+"a/memory.limit_in_bytes", "4096\n", v1+"memory.limit_in_bytes", noLimit), 4096},
		"v1 container":            {files(self, "4:memory:/docker/0123\n", v1+"memory.limit_in_bytes", "8192\n"), 8192},
		"v1 without a limit":      {files(self, "4:memory:/a\n", v1+"a/memory.limit_in_bytes", noLimit), 0},
		"v1 beside v2":            {files(self, "4:memory:/a\n0::/\n", v1+"a/memory.limit_in_bytes", "4096\n"), 4096},
		"v1 of something else":    {files(self, "4:cpu:/a\n", v1+"a/memory.limit_in_bytes", "4096\n"), 0},
		"not to be understood":    {files(self, "x\n::\n0::\n4:memory:a\n", "sys/fs/cgroup/memory.max", "-5\n", v1+"a/memory.limit_in_bytes", "lots\n"), 0},
	} {
		if got := cgroupLimit(tt.system); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestMemoryLimit(t *testing.T) {
	container := files("proc/self/cgroup", "0::/\n", "sys/fs/cgroup/memory.max", "1000000000\n")
	set := environment{"GOMEMLIMIT": "500MiB"}
	for name, tt := range map[string]struct {
		flag    string
		env     environment
		inForce int64
		system  fstest.MapFS
		want    int64
		from    string
	}{
		"nothing said":                    {"auto", nil, math.MaxInt64, files(), 0, "cgroup"},
		"control group":                   {"auto", nil, math.MaxInt64, container, 900_000_000, "cgroup"},
		"GOMEMLIMIT before control group": {"auto", set, 500 << 20, container, 500 << 20, "GOMEMLIMIT"},
		"GOMEMLIMIT off":                  {"auto", environment{"GOMEMLIMIT": "off"}, math.MaxInt64, container, 0, "GOMEMLIMIT"},
		"flag before all":                 {"2GiB", set, 500 << 20, container, 2 << 30, "--memory-limit"},
		"none before all":                 {"none", set, 500 << 20, container, 0, "--memory-limit"},
	} {
		if got, from, err := memoryLimit(tt.flag, tt.env, tt.inForce, tt.system); err != nil || got != tt.want || from != tt.from {
			t.Errorf("%s: %d from %s, %v; want %d from %s", name, got, from, err, tt.want, tt.from)
		}
	}
	for flag, want := range map[string]string{"much": `"auto" and "none"`, "1MiB": "32MiB or more", "": "--memory-limit"} {
		if _, _, err := memoryLimit(flag, nil, math.MaxInt64, files()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--memory-limit=%s: %v", flag, err)
		}
	}
}
