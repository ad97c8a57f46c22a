package store

import (
	"cmp"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// What is looked at of the server's blocks of records: a record begins with its
// length and its sequence.
const (
	blockHeader = 22
	hasHeaders  = 1 << 31 // of the length
	isErased    = 1 << 63 // of the sequence
	isTombstone = 1 << 62 // of the sequence
	// farJump is more than sequences rise by from one record to the next.
	farJump = 1 << 24
)

// distrustIndexes removes the index of each stream in which a sequence jumps: the
// server would believe the index, and note every sequence in between, without
// end. Without it the server reads and checks every record. Only the newest
// block is looked at, which is read at start, or all of them.
func distrustIndexes(dir string, everyBlock bool, logger *slog.Logger) error {
	names, err := filepath.Glob(filepath.Join(dir, jetstreamName, "$G", "streams", "*", "msgs"))
	if err != nil {
		return err
	}
	for _, msgs := range names {
		blocks, err := filepath.Glob(filepath.Join(msgs, "*.blk"))
		if err != nil {
			return err
		}
		if !everyBlock && len(blocks) > 0 {
			// Numbers without leading zeros: the longer is the newer.
			blocks = []string{slices.MaxFunc(blocks, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })}
		}
		for _, block := range blocks {
			data, err := os.ReadFile(block) //nolint:gosec // of the folder
			if err != nil {
				return err
			}
			if !jumps(data) {
				continue
			}
			logger.Error("the data folder is damaged: all records of a log are read and checked", "log", filepath.Base(filepath.Dir(msgs)), "block", filepath.Base(block))
			if err := os.Remove(filepath.Join(msgs, "index.db")); err != nil && !os.IsNotExist(err) {
				return err
			}
			break
		}
	}
	return nil
}

// jumps tells whether a sequence in a block is far beyond the one before. Other
// damage the server finds.
func jumps(block []byte) bool {
	last := uint64(0)
	for len(block) >= blockHeader {
		length := binary.LittleEndian.Uint32(block) &^ hasHeaders
		seq := binary.LittleEndian.Uint64(block[4:])
		if length < blockHeader || uint64(length) > uint64(len(block)) {
			return false
		}
		if seq&isTombstone == 0 {
			seq &^= isErased
			if last > 0 && seq > last+farJump {
				return true
			}
			last = max(last, seq)
		}
		block = block[length:]
	}
	return false
}
