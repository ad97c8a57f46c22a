// Package durability tests the built program from outside for what it promises
// of the data folder: what is acknowledged is there after kill -9, once and in
// order, and a folder that is damaged is noticed. With -durability.full it does
// so in full size. Its tests need Linux: they stop processes and read /proc.
package durability
