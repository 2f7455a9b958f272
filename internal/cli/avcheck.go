package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/scan/avcheck"
	"github.com/lapwing-defence/lapwing/internal/scan/clamd"
)

func newAVCheck(g *globals) *cobra.Command {
	var cfg avcheck.Config
	var socket string
	c := &cobra.Command{
		Use:   "av-check DIR",
		Short: "Find out what the antivirus program here does with files that it must know",
		Long: "av-check writes the EICAR test file, plain, renamed and packed, and a harmless text into DIR, watches what becomes of them, and removes them. " +
			"DIR must be absent or empty. It tells for each file whether it was blocked, quarantined, logged or nothing, after how many seconds and by whom; " +
			"and how old the signatures are, whether a program acts by itself, and what is excluded, where that can be read. " +
			"Nothing of the antivirus program is changed. (To scan a path of this name, write ./av-check.)\n\n" +
			"Beside the files themselves it looks at the log of ClamAV, asks clamd, and reads events of Microsoft Defender (1116, 1117, 5001, 5007) from a file that you " +
			"export, also while it runs. Events count when they name the file in a directory of DIR's name and are not older than the check.\n\n" +
			"Exit status: 0 all caught and the harmless text left alone, 1 not so, 2 error, 64 wrong usage.",
		Example: "  lapwing scan av-check /srv/share/avtest\n  lapwing scan av-check --events defender.evtx --wait 5m /mnt/windows/avtest",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg.Dir = args[0]
			if cfg.Wait < 0 || cfg.Wait > 24*time.Hour {
				return usageError{fmt.Errorf("--wait %s: give 0s to 24h", cfg.Wait)}
			}
			if socket != "" {
				var err error
				if cfg.Clamd, err = clamd.New(socket, 30*time.Second); err != nil {
					return usageError{err}
				}
			}
			rep, err := avcheck.Run(c.Context(), cfg)
			if err != nil {
				return err
			}
			return printAVCheck(g, rep)
		},
	}
	c.Flags().DurationVar(&cfg.Wait, "wait", time.Minute, "how long the files are watched")
	c.Flags().StringVar(&socket, "clamd", "", "clamd to ask: its socket or host:port (default: LocalSocket or TCPSocket of clamd.conf, or the socket at its usual place)")
	c.Flags().StringVar(&cfg.Conf, "clamd-conf", "", "clamd.conf to read (default: at its usual places)")
	c.Flags().StringVar(&cfg.Log, "log", "", "log of clamd or clamonacc (default: LogFile of clamd.conf)")
	c.Flags().StringVar(&cfg.Events, "events", "", "events of Microsoft Defender: .evtx, or one JSON object a line")
	return c
}

func printAVCheck(g *globals, rep *avcheck.Report) error {
	caught, wanted, alarms := 0, 0, 0
	for i := range rep.Results {
		switch r := &rep.Results[i]; {
		case r.Harmless && !r.Fine():
			alarms++
		case !r.Harmless:
			wanted++
			if r.Fine() {
				caught++
			}
		}
	}
	var err error
	if g.json {
		err = avCheckJSON(g.Out, rep, map[string]any{"summary": true, "files": len(rep.Results), "caught": caught, "expected": wanted, "false_alarms": alarms, "state": rep.State})
	} else {
		err = avCheckText(g.Out, rep)
		if err == nil && !g.quiet {
			_, err = fmt.Fprintf(g.Err, "%d of %d caught, %d false alarms; the files are removed\n", caught, wanted, alarms)
		}
	}
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if !rep.Fine() {
		return exitStatus(statusFound)
	}
	return nil
}

func avCheckJSON(w io.Writer, rep *avcheck.Report, summary map[string]any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range rep.Results {
		if err := enc.Encode(&rep.Results[i]); err != nil {
			return err
		}
	}
	return enc.Encode(summary)
}

func avCheckText(w io.Writer, rep *avcheck.Report) error {
	var err error
	say := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	for i := range rep.Results {
		r := &rep.Results[i]
		mark := "ok  "
		if !r.Fine() {
			mark = "FAIL"
		}
		by := ""
		if r.By != "" {
			by = fmt.Sprintf("%.1f s, %s %s", r.Seconds, quoteText(r.By), quoteText(r.Name))
		}
		say("%s  %-11s  %-18s %s; %s", mark, r.Outcome, filepath.Base(r.File), r.About, by)
	}
	s := &rep.State
	switch {
	case s.Engine == "":
		say("clamd: none was asked")
	case s.AgeDays < 0:
		say("clamd: %s, signatures of unknown age", quoteText(s.Engine))
	default:
		say("clamd: %s, signatures %s, %d days old", quoteText(s.Engine), quoteText(s.Signatures), s.AgeDays)
	}
	if s.RealTime {
		say("acts by itself: %s runs", s.Program)
	} else {
		say("acts by itself: no such program was seen here")
	}
	if s.Config != "" {
		say("settings: %s, OnAccessPrevention %s", quoteText(s.Config), orNone(s.Prevention))
	}
	for _, x := range s.Exclusions {
		say("excluded: %s", quoteText(x))
	}
	if s.Covers != "" {
		say("the directory is excluded: %s", quoteText(s.Covers))
	}
	for _, n := range s.Notes {
		say("note: %s", quoteText(n))
	}
	return err
}

func orNone(s string) string {
	if s == "" {
		return "not set"
	}
	return quoteText(s)
}
