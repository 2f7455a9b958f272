package casebook

import (
	"bytes"
	"context"
	"database/sql"
	"slices"
)

// carrySeven takes alerts from a table of their own into a shelf.
func carrySeven(ctx context.Context, tx *sql.Tx) error {
	return carry(ctx, tx, func(t *store, all *shelves) error {
		return carryAlerts(ctx, tx, t, &all.alerts)
	}, "DROP TABLE alerts")
}

func carryAlerts(ctx context.Context, tx *sql.Tx, t *store, s *shelf) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, key, alerts.rule, rule_id, level, source, ip, host, session, user, title, campaign, count, first, last, retrospective, refs
FROM alerts JOIN rules USING (rule)`)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // Err tells
	var part []record
	put := func() error {
		slices.SortFunc(part, func(x, y record) int { return bytes.Compare(x.key, y.key) })
		err := s.put(ctx, t, part)
		part = part[:0]
		return err
	}
	for rows.Next() {
		r, err := oldAlert(rows)
		if err != nil {
			return err
		}
		if part = append(part, r); len(part) < carryRecords {
			continue
		}
		if err := put(); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return put()
}

// oldAlert reads a row of versions 5 and 6.
func oldAlert(rows *sql.Rows) (record, error) {
	var r alertRow
	var id, session, campaign columnID
	var key any
	var rule, source string
	var ip sql.NullString
	var first int64
	var refs []byte
	err := rows.Scan(&id, &key, &r.rule, &rule, &r.level, &source, &ip, &r.host, &session, &r.user, &r.title, &campaign, &r.count, &first, &r.last, &r.retrospective, &refs)
	if err != nil {
		return record{}, err
	}
	if r.source, err = storedAddr(source, ip); err != nil {
		return record{}, err
	}
	r.session, r.campaign = idOf(string(session)), idOf(string(campaign))
	switch k := key.(type) {
	case int64:
		r.keyTime = k
	case string:
		r.key, r.textKey = k, true
	}
	if r.refs, err = parseRefs(refs); err != nil {
		return record{}, err
	}
	return record{key: alertKey(fromNano(first), string(id)), value: r.encode(first)}, nil
}
