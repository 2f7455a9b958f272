package casebook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// migrations bring a casebook from version i to i+1. What was released is
// never changed, only added to. docs/formats/casebook.md describes the tables.
var migrations = []string{`
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE alerts (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL,
  rule_id TEXT NOT NULL, rule_name TEXT NOT NULL, level INTEGER NOT NULL,
  techniques TEXT NOT NULL, tactics TEXT NOT NULL, description TEXT NOT NULL,
  source TEXT NOT NULL, ip TEXT NOT NULL, host TEXT NOT NULL, session TEXT NOT NULL, user TEXT NOT NULL,
  title TEXT NOT NULL, campaign TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
) STRICT;
CREATE INDEX alerts_key ON alerts (key);
CREATE INDEX alerts_first ON alerts (first);
CREATE INDEX alerts_source ON alerts (source);
CREATE INDEX alerts_campaign ON alerts (campaign);
CREATE TABLE evidence (
  alert INTEGER NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, session TEXT NOT NULL, line BLOB NOT NULL,
  PRIMARY KEY (alert, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_session ON evidence (session) WHERE session <> '';
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, source TEXT NOT NULL, ip TEXT NOT NULL, host TEXT NOT NULL, decoy TEXT NOT NULL,
  user TEXT NOT NULL, kind TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, last INTEGER NOT NULL,
  commands INTEGER NOT NULL, files INTEGER NOT NULL, depth INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_start ON sessions (start);
CREATE INDEX sessions_source ON sessions (source);
CREATE TABLE captures (
  sha256 TEXT NOT NULL, source TEXT NOT NULL, path TEXT NOT NULL, ip TEXT NOT NULL, size INTEGER NOT NULL,
  host TEXT NOT NULL, session TEXT NOT NULL, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (sha256, source, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX captures_last ON captures (last);
CREATE INDEX captures_source ON captures (source);
CREATE TABLE states (key TEXT PRIMARY KEY, source TEXT NOT NULL, seen INTEGER NOT NULL, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX states_source ON states (source);
CREATE INDEX states_seen ON states (seen);
CREATE TABLE holds (source TEXT PRIMARY KEY, why TEXT NOT NULL, who TEXT NOT NULL, at INTEGER NOT NULL, copied INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE acts (
  n INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, act TEXT NOT NULL,
  target TEXT NOT NULL, why TEXT NOT NULL, result TEXT NOT NULL
) STRICT;
`, `
CREATE TABLE findings (
  sha256 TEXT NOT NULL, rule TEXT NOT NULL, level TEXT NOT NULL, category TEXT NOT NULL, description TEXT NOT NULL,
  PRIMARY KEY (sha256, rule)
) STRICT, WITHOUT ROWID;
`, `
ALTER TABLE alerts ADD COLUMN retrospective INTEGER NOT NULL DEFAULT 0;
`, `
CREATE TABLE packs (n INTEGER PRIMARY KEY, live INTEGER NOT NULL, lines INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
INSERT INTO packs SELECT row_number() OVER (ORDER BY alert, seq), 1, 1, line FROM evidence;
CREATE TABLE packed (
  alert INTEGER NOT NULL, seq INTEGER NOT NULL, event ANY NOT NULL, pack INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (alert, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO packed SELECT alert, seq, event, row_number() OVER (ORDER BY alert, seq), 0 FROM evidence;
DROP TABLE evidence;
ALTER TABLE packed RENAME TO evidence;
DROP INDEX alerts_key;
DROP INDEX alerts_campaign;
DROP INDEX states_source;
DROP INDEX states_seen;
`, `
CREATE TABLE rules (
  rule INTEGER PRIMARY KEY, rule_id TEXT NOT NULL, rule_name TEXT NOT NULL, techniques TEXT NOT NULL, tactics TEXT NOT NULL, description TEXT NOT NULL,
  UNIQUE (rule_id, rule_name, techniques, tactics, description)
) STRICT;
INSERT INTO rules (rule_id, rule_name, techniques, tactics, description) SELECT DISTINCT rule_id, rule_name, techniques, tactics, description FROM alerts;
CREATE TABLE shorter (
  n INTEGER PRIMARY KEY, id ANY NOT NULL UNIQUE, key ANY NOT NULL, rule INTEGER NOT NULL, level INTEGER NOT NULL,
  source TEXT NOT NULL, ip TEXT, host TEXT NOT NULL, session ANY NOT NULL, user TEXT NOT NULL, title TEXT NOT NULL, campaign ANY NOT NULL,
  count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, retrospective INTEGER NOT NULL, refs BLOB NOT NULL
) STRICT;
INSERT INTO shorter SELECT n, ` + idIn("id") + `, key, rule, level, source, nullif(ip, source), host, ` + idIn("session") + `, user, title, ` + idIn("campaign") + `,
  count, first, last, retrospective, x'' FROM alerts JOIN rules USING (rule_id, rule_name, techniques, tactics, description);
DROP TABLE alerts;
ALTER TABLE shorter RENAME TO alerts;
CREATE INDEX alerts_first ON alerts (first);
CREATE INDEX alerts_source ON alerts (source);
CREATE TABLE lives (pack INTEGER PRIMARY KEY, live INTEGER NOT NULL, lines INTEGER NOT NULL) STRICT;
INSERT INTO lives SELECT n, live, lines FROM packs;
ALTER TABLE packs DROP COLUMN live;
ALTER TABLE packs DROP COLUMN lines;
CREATE TABLE visits (
  id ANY PRIMARY KEY, source TEXT NOT NULL, ip TEXT, host TEXT NOT NULL, decoy TEXT NOT NULL,
  user TEXT NOT NULL, kind TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, last INTEGER NOT NULL,
  commands INTEGER NOT NULL, files INTEGER NOT NULL, depth INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO visits SELECT ` + idIn("id") + `, source, nullif(ip, source), host, decoy, user, kind, start, end, last, commands, files, depth FROM sessions;
DROP TABLE sessions;
ALTER TABLE visits RENAME TO sessions;
CREATE INDEX sessions_start ON sessions (start);
DROP TABLE states;
CREATE TABLE states (key ANY PRIMARY KEY, source BLOB NOT NULL, seen INTEGER NOT NULL, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
`, `
CREATE TABLE chunks (
  n INTEGER PRIMARY KEY, shelf INTEGER NOT NULL, run INTEGER NOT NULL, tier INTEGER NOT NULL, records INTEGER NOT NULL,
  first BLOB NOT NULL, data BLOB NOT NULL
) STRICT;
`, ``}

// idIn is SQL for an id as it is stored: a UUID in 16 bytes.
func idIn(column string) string {
	return "iif(" + column + " GLOB '????????-????-????-????-????????????' AND " + column + " NOT GLOB '*[^0-9a-f-]*', coalesce(unhex(replace(" + column + ", '-', '')), " + column + "), " + column + ")"
}

// applicationID marks the file as ours: "lapw".
const applicationID = 0x6c617077

// migrate brings the file to the newest version, in one transaction.
func migrate(ctx context.Context, db *sql.DB, file string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to undo
	var version, app, tables int
	for q, v := range map[string]*int{"PRAGMA user_version": &version, "PRAGMA application_id": &app, "SELECT count(*) FROM sqlite_schema": &tables} {
		if err := tx.QueryRowContext(ctx, q).Scan(v); err != nil {
			return err
		}
	}
	if tables > 0 && app != applicationID {
		return DamagedError{file, errors.New("it is a database of another program")}
	}
	if version > len(migrations) {
		return NewerError{file, version, len(migrations)}
	}
	if version == len(migrations) {
		return nil
	}
	for i := version; i < len(migrations); i++ {
		if err := step(ctx, tx, i); err != nil {
			return fmt.Errorf("bring the casebook to the present version: %w", err)
		}
	}
	// Both pragmas take no parameters; the numbers are ours.
	for _, p := range []string{fmt.Sprintf("PRAGMA user_version = %d", len(migrations)), fmt.Sprintf("PRAGMA application_id = %d", applicationID)} {
		if _, err := tx.ExecContext(ctx, p); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// step brings the file from version i to the next.
func step(ctx context.Context, tx *sql.Tx, i int) error {
	run := func() error {
		_, err := tx.ExecContext(ctx, migrations[i])
		return err
	}
	switch i {
	case 4:
		return carryFive(ctx, tx, run)
	case 5:
		return carrySix(ctx, tx, run)
	case 6:
		return carrySeven(ctx, tx)
	}
	return run()
}

// nano is t as it is stored: nanoseconds since 1970, 0 for none.
func nano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNano(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
