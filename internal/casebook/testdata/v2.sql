-- A casebook as version 2 wrote it.
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
CREATE TABLE findings (
  sha256 TEXT NOT NULL, rule TEXT NOT NULL, level TEXT NOT NULL, category TEXT NOT NULL, description TEXT NOT NULL,
  PRIMARY KEY (sha256, rule)
) STRICT, WITHOUT ROWID;
INSERT INTO alerts VALUES (7, 'e90627cb-0000-7000-8000-0000000003e9', 'r1 192.0.2.1', 'r1', 'Rule', 3, 'T1078', 'initial-access', 'words',
  '192.0.2.1', '192.0.2.1', 'files', '02000326-0000-7000-8000-000000000002', 'root', 'title', 'c1', 2, 1000, 2000);
INSERT INTO evidence VALUES
  (7, 1, '01a2109e-7c87-7cfd-9319-838796ad5c56', '02000326-0000-7000-8000-000000000002', CAST('{"event.id":"01a2109e-7c87-7cfd-9319-838796ad5c56","lapwing.session.id":"02000326-0000-7000-8000-000000000002"}' AS BLOB)),
  (7, 2, 'another', '', CAST('{"event.id":"another"}' AS BLOB));
INSERT INTO sessions VALUES
  ('02000326-0000-7000-8000-000000000002', '192.0.2.1', '192.0.2.1', 'files', 'ssh', 'root', 'exec', 1700000000000000005, 1700000002000000000, 1700000003000000000, 3, 2, 4),
  ('an older id', '2001:db8::/64', '2001:db8::7', 'files', 'telnet', 'admin', 'shell', 1700000001000000000, 0, 1700000001500000000, 0, 0, 3);
INSERT INTO states VALUES
  ('p 00112233445566778899aabbccddeeff', '192.0.2.1', 1700000000000000000, CAST('{"seen":"2023-11-14T22:13:20Z"}' AS BLOB)),
  ('s 192.0.2.1/32', '192.0.2.1', 1700000000000000000, CAST('{"tries":3}' AS BLOB)),
  ('s 2001:db8::/64', '2001:db8::/64', 1700000064000000000, CAST('{"tries":4}' AS BLOB));
PRAGMA application_id = 0x6c617077;
PRAGMA user_version = 2;
