// Package zz holds the module requirements while the packages that need them are being written.
package zz

import (
	_ "github.com/VictoriaMetrics/VictoriaLogs/app/vlinsert"
	_ "github.com/VictoriaMetrics/VictoriaLogs/app/vlinsert/insertutil"
	_ "github.com/VictoriaMetrics/VictoriaLogs/app/vlselect"
	_ "github.com/VictoriaMetrics/VictoriaLogs/app/vlstorage"
	_ "github.com/elastic/go-seccomp-bpf"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/google/uuid"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/landlock-lsm/go-landlock/landlock"
	_ "github.com/pkg/sftp"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/spf13/cobra"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/mod/sumdb/tlog"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
	_ "golang.org/x/tools/go/packages"
	_ "modernc.org/sqlite"
	_ "mvdan.cc/sh/v3/syntax"
	_ "pgregory.net/rapid"
)
