// Package chaos tests the built program from outside while everything breaks at
// once: the server is killed and told to stop at random, connections are cut,
// stalled and refused, the disk fills. Clients of every kind go on through it,
// and what each of them saw is recorded. The record is then checked as a whole:
// no acknowledged message lost or doubled, every listener told of each once and
// in order, every session still there, every call answered or failed clearly.
//
// A run is bounded in time by -chaos.for and drawn from -chaos.seed, which is
// printed. How the processes interleave is not in the seed's hand: a run with the
// same seed attacks at the same moments, and need not fail in the same way.
//
//	go test ./chaos -chaos.for=2h
package chaos
