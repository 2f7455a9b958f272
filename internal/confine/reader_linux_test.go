package confine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reader enters the confinement of the process that reads logs and tries what it
// must be able to do and what it must not.
func reader() {
	dir := os.Getenv("CONFINE_DIR")
	logs, state, other := filepath.Join(dir, "logs"), filepath.Join(dir, "state"), filepath.Join(dir, "other")
	r, err := EnterReader(os.Getenv("CONFINE_NS"), 0, Paths{Read: []string{logs, filepath.Join(dir, "missing")}, Write: []string{state}})
	if err != nil {
		fmt.Println("enter:", err)
		os.Exit(1)
	}
	can, cannot := map[string]error{}, map[string]error{}
	_, can["read"] = os.ReadFile(filepath.Join(logs, "a.log"))
	_, can["list"] = os.ReadDir(logs)
	can["write state"] = os.WriteFile(filepath.Join(state, "x"), []byte("1"), 0o600)
	can["rename state"] = os.Rename(filepath.Join(state, "x"), filepath.Join(state, "y"))
	can["remove state"] = os.Remove(filepath.Join(state, "y"))
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, filepath.Join(logs, "a.log"), unix.IN_MODIFY)
	}
	can["watch"] = err
	_, cannot["read another"] = os.ReadFile(filepath.Join(other, "secret"))
	_, cannot["list another"] = os.ReadDir(other)
	cannot["write a log"] = os.WriteFile(filepath.Join(logs, "a.log"), nil, 0o600)
	cannot["make a log"] = os.WriteFile(filepath.Join(logs, "b.log"), nil, 0o600)
	cannot["remove a log"] = os.Remove(filepath.Join(logs, "a.log"))
	_, cannot["tcp"] = net.DialTimeout("tcp", "127.0.0.1:9", time.Second)
	_, cannot["unix"] = net.Dial("unix", filepath.Join(logs, "s"))
	cannot["exec"] = exec.Command("/bin/true").Run()
	cannot["ptrace"] = syscall.PtraceAttach(os.Getppid())
	cannot["chown"] = os.Chown(filepath.Join(state, "."), 0, 0)
	out := map[string]string{"report": r.String()}
	for k, err := range can {
		if err != nil {
			out["cannot "+k] = err.Error()
		}
	}
	for k, err := range cannot {
		if err == nil || k != "tcp" && k != "unix" && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
			out["can "+k] = fmt.Sprint(err)
		}
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

func TestReaderKeepsOnlyItsFiles(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"logs", "state", "other"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"logs/a.log", "other/secret"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(filepath.Join(dir, "state"), ReaderUID, ReaderUID); err != nil {
			t.Fatal(err)
		}
	}
	ns, _ := NetNS()
	var out bytes.Buffer
	var err error
	var cmd *exec.Cmd
	for level := range Levels {
		cmd = exec.Command("/proc/self/exe")
		cmd.Env = []string{"CONFINE_CHILD=reader", "CONFINE_NS=" + ns, "CONFINE_DIR=" + dir}
		cmd.Stdout, cmd.Stderr = &out, os.Stderr
		PrepareReader(cmd, level)
		if err = cmd.Start(); err == nil {
			break
		}
		t.Logf("level %d: %v", level, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("child: %v\n%s", err, out.String())
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	t.Logf("held by %s", got["report"])
	delete(got, "report")
	for k, v := range got {
		t.Errorf("it %s: %s", k, v)
	}
}
