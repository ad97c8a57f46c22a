//go:build race

package load

// raceEnabled tells that the servers have the race detector in them, too.
const raceEnabled = true
