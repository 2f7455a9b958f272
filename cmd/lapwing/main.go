// Command lapwing is a defence platform for small teams: decoys that record
// an intruder, a judge that raises alerts, and a keeper of everything seen.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/lapwing-defence/lapwing/internal/cli"
)

// version is set by the linker.
var version = "dev"

func main() { os.Exit(run()) }

// run is main with a status, so that tests can run the program in their own binary.
func run() int {
	defer profile()()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Run(ctx, os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, version)
}
