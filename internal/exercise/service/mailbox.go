package service

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Message is a mail in a mailbox.
type Message struct {
	From, Subject, Body string
	Date                time.Time // zero: some day before the exercise
}

const (
	maxMessages  = 200 // of one mailbox; more are refused silently
	maxMailboxes = 2000
)

// mailboxes are those of one host. One without messages of the scenario's has a
// few of the seed's when it is first opened.
type mailboxes struct {
	host *Host
	mu   sync.Mutex
	m    map[string][]Message
}

// open gives the messages of a user, newest last.
func (b *mailboxes) open(user string) []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Message(nil), b.box(user)...)
}

func (b *mailboxes) box(user string) []Message {
	user = strings.ToLower(user)
	if b.m == nil {
		b.m = map[string][]Message{}
	}
	if l, ok := b.m[user]; ok || len(b.m) >= maxMailboxes {
		return l
	}
	l, ok := b.host.c.Mail[user]
	if !ok {
		l = b.host.everyday()
	}
	l = append([]Message(nil), l...)
	for i := range l {
		if l[i].Date.IsZero() {
			l[i].Date = b.host.c.Clock.Now().Add(-time.Duration(len(l)-i) * 26 * time.Hour).Truncate(time.Minute)
		}
	}
	b.m[user] = l
	return l
}

func (b *mailboxes) deliver(user string, m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.box(user); len(l) < maxMessages {
		b.m[strings.ToLower(user)] = append(l, m)
	}
}

// everyday are a few messages as people in an office have.
func (h *Host) everyday() []Message {
	subjects := []string{"Meeting on Thursday", "Invoice of last month", "Holiday plan", "New printer on the second floor", "Minutes", "Canteen menu", "Safety training", "Delivery is late"}
	out := make([]Message, 0, 4)
	for range 2 + h.draw(3) {
		s := subjects[h.draw(len(subjects))]
		out = append(out, Message{From: "office@" + first(h.c.Domain, "example.internal"), Subject: s, Body: "Hello,\r\n\r\nplease see the notice about: " + s + ".\r\n\r\nThe office\r\n"})
	}
	return out
}

// String is the message as RFC 5322 writes it.
func (m Message) String() string {
	return fmt.Sprintf("From: %s\r\nSubject: %s\r\nDate: %s\r\n\r\n%s", m.From, m.Subject, m.Date.UTC().Format(time.RFC1123Z), m.Body)
}

// parseMessage takes subject and body of a mail.
func parseMessage(text, from string, at time.Time) Message {
	m := Message{From: from, Date: at}
	head, body, ok := strings.Cut(text, "\r\n\r\n")
	if !ok {
		m.Body = text
		return m
	}
	m.Body = body
	for l := range strings.SplitSeq(head, "\r\n") {
		if n, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, "Subject") {
			m.Subject = strings.TrimSpace(v)
		}
	}
	return m
}
