package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

const statusHelpRange = "\n\nExit status: 0 fine, 2 error or refused, 64 wrong usage."

// traineeCommands are what trainees say. Each takes --trainee.
func traineeCommands(g *globals) []*cobra.Command {
	return append([]*cobra.Command{
		newRangeJoin(g), newRangeTask(g), newRangeAnswer(g), newRangeHint(g), newRangeSolution(g), newRangeNext(g),
		newRangeAlerts(g), newRangeRecords(g), newRangeStatus(g), newRangeConnect(g),
	}, responseCommands(g)...)
}

// asTrainee adds --trainee to a command and runs f as that one.
func (g *globals) asTrainee(c *cobra.Command, f func(context.Context, *training.Client, []string) error) *cobra.Command {
	var name string
	c.Flags().StringVar(&name, "trainee", "", "who you are; with one trainee it need not be said (or the token in $"+tokenVar+")")
	c.Long += statusHelpRange
	c.RunE = func(c *cobra.Command, args []string) error {
		cl, err := g.trainee(name)
		if err != nil {
			return err
		}
		return f(c.Context(), cl, args)
	}
	return c
}

// show prints v as JSON, or by text.
func show[T any](g *globals, v T, err error, text func(T)) error {
	if err != nil {
		return err
	}
	if g.json {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(g.Out, "%s\n", line)
		return err
	}
	text(v)
	return nil
}

// words are how a command of the range is said: at a shell, or within range join.
func (g *globals) words(command string) string {
	if g.seated {
		return "/" + command
	}
	return "lapwing range " + command
}

func (g *globals) put(format string, args ...any) {
	fmt.Fprintf(g.Out, format, args...) //nolint:errcheck // the terminal is gone
}

func newRangeTask(g *globals) *cobra.Command {
	return g.asTrainee(&cobra.Command{
		Use: "task", Short: "What is asked now", Args: cobra.NoArgs,
		Long:    "Shows the level that is asked now. The first look begins your exercise: from then on time goes by.",
		Example: "  lapwing range task\n  lapwing range task --trainee anna --json",
	}, func(ctx context.Context, c *training.Client, _ []string) error {
		t, err := c.Task(ctx)
		return show(g, t, err, g.task)
	})
}

func newRangeAnswer(g *globals) *cobra.Command {
	question := 0
	c := g.asTrainee(&cobra.Command{
		Use: "answer TEXT...", Short: "Answer the level that is asked", Args: cobra.MinimumNArgs(1),
		Long: "Answers the level that is asked. Case and spaces do not count. Choices are answered by their letter, several with commas between; " +
			"each question of an assessment is answered once.",
		Example: "  lapwing range answer 198.51.100.7\n  lapwing range answer --question 2 b",
	}, func(ctx context.Context, c *training.Client, args []string) error {
		v, err := c.Answer(ctx, question, strings.Join(args, " "))
		return show(g, v, err, g.verdict)
	})
	c.Flags().IntVar(&question, "question", 0, "number of the question of an assessment (default the first that is open)")
	return c
}

func newRangeHint(g *globals) *cobra.Command {
	return g.asTrainee(&cobra.Command{
		Use: "hint [ID]", Short: "Take a hint; it costs points", Args: cobra.MaximumNArgs(1),
		Long:    "Takes a hint of the level that is asked, the next one where none is named. It costs the points that lapwing range task shows.",
		Example: "  lapwing range hint",
	}, func(ctx context.Context, c *training.Client, args []string) error {
		h, err := c.Hint(ctx, strings.Join(args, ""))
		return show(g, h, err, g.hint)
	})
}

func newRangeSolution(g *globals) *cobra.Command {
	return g.asTrainee(&cobra.Command{
		Use: "solution", Short: "Show the solution; the level may bring no points then", Args: cobra.NoArgs,
		Long:    "Shows the solution of the level that is asked. It must still be answered; where the scenario says so it brings no points any more.",
		Example: "  lapwing range solution",
	}, func(ctx context.Context, c *training.Client, _ []string) error {
		text, err := c.Solution(ctx)
		return show(g, map[string]string{"text": text}, err, func(m map[string]string) { g.put("%s\n", safe(m["text"], maxLine)) })
	})
}

func newRangeNext(g *globals) *cobra.Command {
	giveUp := false
	c := g.asTrainee(&cobra.Command{
		Use: "next", Short: "Go on from a level that asks nothing", Args: cobra.NoArgs,
		Long:    "Goes on from a level that only informs. With --give-up it passes over one that asks: it brings no points then.",
		Example: "  lapwing range next\n  lapwing range next --give-up",
	}, func(ctx context.Context, c *training.Client, _ []string) error {
		t, err := c.Next(ctx, giveUp)
		return show(g, t, err, g.task)
	})
	c.Flags().BoolVar(&giveUp, "give-up", false, "pass over a level that is not solved")
	return c
}

func newRangeAlerts(g *globals) *cobra.Command {
	return g.asTrainee(&cobra.Command{
		Use: "alerts", Short: "Alerts of the exercise", Args: cobra.NoArgs,
		Long:    "Lists the alerts that the rules have raised in your exercise, oldest first, each with its number. Alerts of real life are not among them: see lapwing alerts.",
		Example: "  lapwing range alerts",
	}, func(ctx context.Context, c *training.Client, _ []string) error {
		all, err := c.Alerts(ctx)
		return listed(g, all, err, g.alertLines)
	})
}

func newRangeRecords(g *globals) *cobra.Command {
	n := 20
	c := g.asTrainee(&cobra.Command{
		Use: "records [TEXT]", Short: "Records of the exercise's hosts and network", Args: cobra.MaximumNArgs(1),
		Long:    "Prints the newest records of hosts, decoys and of the network's flow log that hold the text, or whose field is the value where it reads FIELD=VALUE; oldest first, a line each with what tells most. With --json they are whole.",
		Example: "  lapwing range records http.response.status_code=404\n  lapwing range records -n 100 cmd.exe",
	}, func(ctx context.Context, c *training.Client, args []string) error {
		all, err := c.Records(ctx, strings.Join(args, ""), n)
		if err != nil {
			return err
		}
		g.recordLines(all)
		return nil
	})
	c.Flags().IntVarP(&n, "number", "n", n, "how many at most, up to 1000")
	return c
}

func newRangeStatus(g *globals) *cobra.Command {
	return g.asTrainee(&cobra.Command{
		Use: "status", Short: "How you stand and how you get in", Args: cobra.NoArgs,
		Long:    "Shows your levels and points, the ways into your network, and what was counted: packets, records, and what was dropped because it was too much.",
		Example: "  lapwing range status",
	}, func(ctx context.Context, c *training.Client, _ []string) error {
		s, err := c.Status(ctx)
		return show(g, s, err, g.standing)
	})
}

func (g *globals) task(t training.Task) {
	g.put("%s: %d of %d points, %s of %s", t.Trainee, t.Points, t.Most, seconds(t.Elapsed), seconds(t.Duration))
	if t.State != "running" && t.State != "done" {
		g.put(", %s", t.State)
	}
	g.put("\n")
	if t.Done {
		g.put("Every level is done. lapwing range status shows them.\n")
		return
	}
	g.put("\nLevel %d of %d, %s: %s", t.Number, t.Of, t.Type, safe(t.Title, maxLine))
	if t.Worth > 0 {
		g.put(" (%d points)", t.Worth)
	}
	g.put("\n\n%s\n", paragraphs(t.Content))
	for _, q := range t.Questions {
		g.question(q)
	}
	g.limits(t)
}

func (g *globals) question(q training.Question) {
	mark := ""
	if q.Answered {
		mark = map[bool]string{true: " [right]", false: " [wrong]"}[q.Right]
	}
	if q.Share > 0 {
		mark = fmt.Sprintf(" [%.0f %% right]", 100*q.Share)
	}
	g.put("\n%d. %s (%d points%s)%s\n", q.Number, safe(q.Text, maxLine), q.Points, asked(q.Type), mark)
	for i, choice := range q.Choices {
		g.put("   %c) %s\n", 'a'+rune(i), safe(choice, maxLine))
	}
}

// asked says how a question is answered, where that is not plain.
func asked(kind string) string {
	return map[string]string{
		"hosts": ", all hosts with commas between", "techniques": ", ids of ATT&CK with commas between", "alerts": ", numbers of alerts with commas between",
	}[kind]
}

// limits are what bounds a level, and what one can say.
func (g *globals) limits(t training.Task) {
	if t.Attempts != nil {
		g.put("\nAttempts left: %d\n", *t.Attempts)
	}
	if t.TimeLeft != nil {
		g.put("\nTime left: %s\n", seconds(*t.TimeLeft))
	}
	for _, h := range t.Hints {
		if h.Taken {
			g.put("\nHint %s: %s\n", h.ID, safe(h.Text, maxLine))
		} else {
			g.put("\nA hint %s for %d points: %s\n", h.ID, h.Cost, g.words("hint"))
		}
	}
	if t.Solution != "" {
		g.put("\nSolution: %s\n", safe(t.Solution, maxLine))
	}
	switch {
	case t.Type == "info":
		g.put("\nGo on with %s.\n", g.words("next"))
	case t.Type == "response":
		g.put("\nSolved by what you do: %s, block, stop, disable or password.\n", g.words("isolate"))
	case t.Deed:
		g.put("\nSolved by what you do; %s shows the ways in.\n", g.words("status"))
	case g.seated:
		g.put("\nType your answer.\n")
	default:
		g.put("\nAnswer with lapwing range answer TEXT.\n")
	}
}

func (g *globals) verdict(v training.Verdict) {
	switch {
	case v.Share > 0:
		g.put("Partly right: %d points.", v.Points)
	case v.Right && v.Status == training.Asked:
		g.put("Right.")
	case v.Right:
		g.put("Right: %d points.", v.Points)
	default:
		g.put("Wrong.")
	}
	if v.Left != nil && *v.Left > 0 {
		g.put(" Attempts left: %d.", *v.Left)
	}
	if v.Note != "" {
		g.put(" %s", safe(v.Note, maxLine))
	}
	g.put("\n")
}

func (g *globals) hint(h training.HintView) {
	g.put("%s (%d points): %s\n", h.ID, h.Cost, safe(h.Text, maxLine))
}

func (g *globals) alertLines(all []training.AlertView) {
	if len(all) == 0 {
		g.put("No alert yet.\n")
		return
	}
	w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', 0)
	for _, a := range all {
		source := a.Source
		if a.Own {
			source += " (you)"
		}
		who := strings.Join(strings.Fields(source+" "+a.Host+" "+a.User), " ")
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", a.ID, a.Last.Local().Format(time.TimeOnly), a.Level, safe(a.Rule, maxLine), safe(who, maxLine), a.Count, strings.Join(a.Techniques, " ")) //nolint:errcheck // the terminal is gone
	}
	w.Flush() //nolint:errcheck // as above
}

func (g *globals) standing(s training.Status) {
	g.put("%s: %s, %d of %d points, %s\n", s.Trainee, s.State, s.Points, s.Most, seconds(s.Elapsed))
	for _, w := range s.Ways {
		g.put("in by %s (you sit at %s)\n", wayIn(w, ""), s.Host)
	}
	for _, t := range s.Traffic {
		g.put("%s\n", traffic(t))
	}
	for _, v := range s.Services {
		g.put("%s: %s\n", v.ID, availability(v))
	}
	w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', 0)
	for _, l := range s.LevelList {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%d of %d points\t%d wrong\t%d hints\n", l.ID, l.Type, strings.ReplaceAll(l.Status, "_", " "), l.Points, l.Worth, l.Wrong, l.Hints) //nolint:errcheck // as above
	}
	w.Flush() //nolint:errcheck // as above
	if len(s.Isolated) > 0 {
		g.put("cut off: %s\n", strings.Join(s.Isolated, ", "))
	}
	for _, m := range s.Measures {
		g.put("%s\n", m)
	}
	x := s.Exercise
	g.put("%d alerts, %d records judged, %d of your own passed over, %d packets, %d dropped, %d requests refused\n", x.Alerts, x.Records, x.PassedOver, x.Packets, x.Dropped, s.Refused)
	if s.Fault != "" {
		g.put("this cannot be kept: %s\n", s.Fault)
	}
}

func seconds(s float64) string { return (time.Duration(s) * time.Second).String() }

// listed prints a list as JSON lines, or by text.
func listed[T any](g *globals, all []T, err error, text func([]T)) error {
	if err != nil {
		return err
	}
	if !g.json {
		text(all)
		return nil
	}
	for _, v := range all {
		line, err := json.Marshal(v)
		if err != nil {
			return err
		}
		g.put("%s\n", jsonText(line))
	}
	return nil
}

// trainerCommands are what the one who leads the exercise says.
func trainerCommands(g *globals) []*cobra.Command {
	lead := func(c *cobra.Command, f func(context.Context, *training.Client, []string) error) *cobra.Command {
		c.Long += statusHelpRange
		c.RunE = func(c *cobra.Command, args []string) error {
			cl, err := g.trainer()
			if err != nil {
				return err
			}
			return f(c.Context(), cl, args)
		}
		return c
	}
	pause := func(resume bool) func(context.Context, *training.Client, []string) error {
		return func(ctx context.Context, c *training.Client, args []string) error {
			s, err := c.Pause(ctx, args[0], resume)
			return show(g, s, err, func(s training.Standing) { g.put("%s: %s at %s\n", s.Trainee, s.State, seconds(s.Elapsed)) })
		}
	}
	return []*cobra.Command{
		lead(&cobra.Command{
			Use: "trainees", Short: "How all trainees stand, the best first", Args: cobra.NoArgs,
			Long: "Lists the trainees of the exercise that is being served, the best first.", Example: "  lapwing range trainees\n  lapwing range trainees --json",
		}, func(ctx context.Context, c *training.Client, _ []string) error {
			all, err := c.Trainees(ctx)
			return listed(g, all, err, g.board)
		}),
		lead(&cobra.Command{
			Use: "pause TRAINEE", Short: "Stop a trainee's exercise", Args: cobra.ExactArgs(1),
			Long: "Stops a trainee's exercise: the adversary and his time stand still, answers are refused.", Example: "  lapwing range pause anna",
		}, pause(false)),
		lead(&cobra.Command{
			Use: "resume TRAINEE", Short: "Let a trainee's exercise go on", Args: cobra.ExactArgs(1),
			Long: "Lets a trainee's exercise go on after lapwing range pause.", Example: "  lapwing range resume anna",
		}, pause(true)),
		lead(&cobra.Command{
			Use: "reset TRAINEE", Short: "Put a trainee back to the beginning", Args: cobra.ExactArgs(1),
			Long:    "Builds a trainee's network anew and puts him back to the first level, without points. What he logs in with stays. It prints how long that took.",
			Example: "  lapwing range reset anna",
		}, func(ctx context.Context, c *training.Client, args []string) error {
			r, err := c.Reset(ctx, args[0])
			return show(g, r, err, func(r training.Reset) { g.put("%s is back at the beginning, after %.0f ms\n", r.Trainee, r.Took) })
		}),
	}
}

func (g *globals) board(all []training.Standing) {
	w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', 0)
	for _, s := range all {
		note := ""
		if s.Fast > 0 {
			note = strconv.Itoa(s.Fast) + " solved too fast"
		}
		if s.Fault != "" {
			note = "cannot be kept: " + s.Fault
		}
		fmt.Fprintf(w, "%s\t%d of %d\t%s\t%s\tlevel %d of %d\t%d wrong\t%d hints\t%d alerts\t%d passed over\t%d dropped\t%s\n", //nolint:errcheck // the terminal is gone
			s.Trainee, s.Points, s.Most, s.State, seconds(s.Elapsed), min(s.Level, s.Levels), s.Levels, s.Wrong, s.Hints, s.Exercise.Alerts, s.Exercise.PassedOver, s.Exercise.Dropped, safe(note, maxLine))
	}
	w.Flush() //nolint:errcheck // as above
}

func newRangeJoin(g *globals) *cobra.Command {
	return g.asTrainee(&cobra.Command{
		Use: "join", Short: "Take part in an exercise from a terminal", Args: cobra.NoArgs,
		Long: "Takes part in the exercise that is being served: it shows the level that is asked and reads what you say. " +
			"An answer is typed as it is; words that begin with a slash do something else: /help lists them.",
		Example: "  lapwing range join\n  lapwing range join --trainee anna",
	}, func(ctx context.Context, c *training.Client, _ []string) error { return g.join(ctx, c) })
}

const joinHelp = `an answer is typed as it is; 2: b answers the second question of an assessment with b
/task  /next  /give-up  /hint [ID]  /solution  /alerts  /records [TEXT]  /status  /quit
/isolate HOST  /block ADDRESS  /stop HOST/tcp/PORT  /disable USER  /password USER  /lift WORD WHAT takes it back
`

const maxJoinLine = 4096 // bytes

// join reads lines until the end.
func (g *globals) join(ctx context.Context, c *training.Client) error {
	g.seated = true
	t, err := c.Task(ctx)
	if err := show(g, t, err, g.task); err != nil {
		return err
	}
	typed, ended := g.typed(ctx)
	for {
		g.prompt()
		var line string
		var ok bool
		select {
		case <-ctx.Done():
			return nil
		case line, ok = <-typed:
		}
		if !ok {
			return <-ended
		}
		if line == "/quit" {
			return nil
		}
		switch err := g.said(ctx, c, line); {
		case errors.Is(err, training.ErrRefused):
			g.put("%s\n", safe(strings.TrimPrefix(err.Error(), "refused: "), maxLine))
		case err != nil:
			return err
		}
	}
}

// typed gives the lines that a person types. Its goroutine may outlive ctx: a read
// from a terminal ends with the next line or with the process.
func (g *globals) typed(ctx context.Context) (<-chan string, <-chan error) {
	typed, ended := make(chan string), make(chan error, 1)
	go func() {
		defer close(typed)
		in := bufio.NewScanner(g.In)
		in.Buffer(make([]byte, 0, maxJoinLine), maxJoinLine)
		for in.Scan() {
			select {
			case typed <- strings.TrimSpace(in.Text()):
			case <-ctx.Done():
				return
			}
		}
		ended <- in.Err()
	}()
	return typed, ended
}

func (g *globals) prompt() {
	if !g.json {
		g.put("> ")
	}
}

// said does what one line asks for.
func (g *globals) said(ctx context.Context, c *training.Client, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch word {
	case "":
		return nil
	case "/help":
		g.put("%s", joinHelp)
		return nil
	case "/task":
		t, err := c.Task(ctx)
		return show(g, t, err, g.task)
	case "/next", "/give-up":
		t, err := c.Next(ctx, word == "/give-up")
		return show(g, t, err, g.task)
	case "/hint":
		h, err := c.Hint(ctx, rest)
		return show(g, h, err, g.hint)
	case "/solution":
		text, err := c.Solution(ctx)
		return show(g, map[string]string{"text": text}, err, func(m map[string]string) { g.put("%s\n", safe(m["text"], maxLine)) })
	case "/alerts":
		all, err := c.Alerts(ctx)
		return listed(g, all, err, g.alertLines)
	case "/records":
		all, err := c.Records(ctx, rest, 10)
		g.recordLines(all)
		return err
	case "/isolate", "/block", "/stop", "/disable", "/password", "/lift":
		return g.does(ctx, c, strings.TrimPrefix(word, "/"), rest)
	case "/status":
		s, err := c.Status(ctx)
		return show(g, s, err, g.standing)
	}
	if strings.HasPrefix(word, "/") {
		g.put("there is no %s\n%s", safe(word, maxLine), joinHelp)
		return nil
	}
	question := 0
	if n, text, ok := strings.Cut(line, ":"); ok {
		if k, err := strconv.Atoi(n); err == nil && k > 0 && k < 100 {
			question, line = k, strings.TrimSpace(text)
		}
	}
	v, err := c.Answer(ctx, question, line)
	return g.onward(ctx, c, &v, show(g, v, err, g.verdict))
}

// onward shows the next task where a level was closed.
func (g *globals) onward(ctx context.Context, c *training.Client, v *training.Verdict, err error) error {
	if err != nil || v == nil || v.Status == training.Asked {
		return err
	}
	t, err := c.Task(ctx)
	g.put("\n")
	return show(g, t, err, g.task)
}
