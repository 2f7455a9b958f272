//go:build unix

package account

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// usermod takes shadow's locks, writes the file in one step, and keeps its
// owner, mode and label; it is found here on every system that has it.
const usermod = "/usr/sbin/usermod"

const patience = 10 * time.Second

// Usermod is Config.Expire by the system's program.
func Usermod(ctx context.Context, name, date string) error {
	if !nameRE.MatchString(name) {
		return fmt.Errorf("usermod: %q is no name", name)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, usermod, "--expiredate", date, name)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %.500q", usermod, err, strings.TrimSpace(string(out)))
	}
	return nil
}
