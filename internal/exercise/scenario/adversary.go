package scenario

import "time"

// Adversary is what the intruder does.
type Adversary struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	Threat      string `yaml:"threat"` // id of a threat profile, "" for none
	Steps       []Step `yaml:"steps"`
}

// Step is one thing that the intruder does. Where it has neither At nor After it
// follows the step before it in the file; the first begins at once.
type Step struct {
	ID          string        `yaml:"id"`
	Name        string        `yaml:"name"`
	Description string        `yaml:"description"`
	Technique   Technique     `yaml:"technique"`
	Emulates    []string      `yaml:"emulates"` // further techniques that this step shows
	Tactic      string        `yaml:"tactic"`
	From        string        `yaml:"from"` // host; for host.* the host whose records these are
	Action      string        `yaml:"action"`
	Target      Target        `yaml:"target"`
	Args        Args          `yaml:"-"`
	At          time.Duration `yaml:"at"`    // since the start
	After       Texts         `yaml:"after"` // steps that have ended, all of them
	Delay       Delay         `yaml:"delay"` // after At or After, drawn from the seed
	OnFailure   string        `yaml:"on_failure"`
	Expect      *Expect       `yaml:"expect"` // nil: nothing is promised

	// Of plans that were imported; for people only.
	Group  string `yaml:"procedure_group"`
	Number string `yaml:"procedure_step"`
	Source string `yaml:"source"`
}

// Values of Step.OnFailure.
const (
	FailStop     = "stop"     // no further step begins
	FailContinue = "continue" // the default
)

// Technique is one of ATT&CK.
type Technique struct {
	ID   string `yaml:"attack_id"`
	Name string `yaml:"name"`
}

// Target is where a step goes. One field is set, or none where the action needs
// none; Port may stand beside it.
type Target struct {
	Host     string `yaml:"host"`
	Hosts    Texts  `yaml:"hosts"`
	Network  string `yaml:"network"`
	External string `yaml:"external"` // a documentation address, or a name that the inside DNS knows as one
	Port     int    `yaml:"port"`     // 0: the action's usual one
	IPv6     bool   `yaml:"ipv6"`     // the hosts' IPv6 addresses
}

// Zero tells whether there is no target.
func (t Target) Zero() bool {
	return t.Host == "" && len(t.Hosts) == 0 && t.Network == "" && t.External == ""
}

// Expect is what should be noticed of a step.
type Expect struct {
	Level      string        `yaml:"level"`  // telemetry, general, tactic, technique
	Within     time.Duration `yaml:"within"` // since the step began
	Detections []string      `yaml:"detections"`
	All        bool          `yaml:"all"`      // every detection must fire; else one is enough
	Optional   bool          `yaml:"optional"` // shown, but a miss fails no run
}

// Detection is what notices steps: rules that are judged in the run.
type Detection struct {
	Name     string `yaml:"-"`
	Rule     Texts  `yaml:"rule"` // as the file names them
	Source   string `yaml:"source"`
	Optional bool   `yaml:"optional"` // a rule that may not be there, such as one of SigmaHQ's

	// Rules are the ids of the rules that count, any of them: of shipped ones as
	// they stand, of optional ones as the file gives them.
	Rules []string `yaml:"-"`
}

// Background is what people who work here do, again and again.
type Background struct {
	ID     string        `yaml:"id"`
	From   Texts         `yaml:"from"` // hosts or groups; each of them does it
	Action string        `yaml:"action"`
	Target Target        `yaml:"-"` // a name alone stands for a host, group or network
	Args   Args          `yaml:"-"`
	Every  time.Duration `yaml:"every"`
	Jitter Share         `yaml:"jitter"`
	At     time.Duration `yaml:"at"`
	Until  time.Duration `yaml:"until"` // 0: to the end
}
