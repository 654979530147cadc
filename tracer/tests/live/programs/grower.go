// Keeps 256 KiB every few milliseconds, until it is stopped.
package main

import "time"

var kept [][]byte

//go:noinline
func keepHere() {
	block := make([]byte, 256<<10)
	for i := range block {
		block[i] = 1
	}
	kept = append(kept, block)
}

func main() {
	for {
		keepHere()
		time.Sleep(10 * time.Millisecond)
	}
}
