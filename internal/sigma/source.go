package sigma

// Logsource is what a rule's logsource block names. An empty part means any.
type Logsource struct {
	Category, Product, Service string
}

// Source is a kind of record, as the mapping of log sources made it: every
// record with, say, channel Security, provider
// Microsoft-Windows-Security-Auditing and event id 4688 has the same Source.
// Mappings keep one *Source per kind (in a bounded table) and never change it
// afterwards; engines keep a plan of the rules that can match for each.
type Source struct {
	// Name is for people: "windows/security 4688".
	Name string
	// Logsources is what the record counts as. A rule looks at the record when
	// each part that its logsource names equals that part of one of these, so a
	// process creation by Sysmon is
	//	{process_creation, windows, sysmon}
	// and a rule for product windows alone, for service sysmon or for category
	// process_creation sees it. A category that a log source carries in another
	// guise is a further entry (4688: {process_creation, windows, security}).
	Logsources []Logsource
	// Const lists fields that have the given text in each record of the kind
	// (EventID, Channel, Provider_Name): what rules say about them is then
	// decided once. Only fields that every record of the kind holds with just
	// this value may be listed.
	Const []Const
}

// Const is a field with the same value in each record of a Source.
type Const struct {
	Field string
	Value string
}

// Accepts tells whether a rule with this logsource looks at the records.
func (s *Source) Accepts(l Logsource) bool {
	for _, have := range s.Logsources {
		if part(l.Category, have.Category) && part(l.Product, have.Product) && part(l.Service, have.Service) {
			return true
		}
	}
	return false
}

func part(rule, have string) bool { return rule == "" || rule == have }
