package acl

import "strings"

// Judge finds the rule that decides whether the client may do a with the topic:
// for Publish a topic name, for Subscribe a filter without a prefix such as
// $share/g/. It returns the rule's index, or -1 where none decides. It does not
// allocate unless a topic or rule has more than a dozen levels.
//
// A filter is judged as the set of topics that it matches. A rule that allows
// must cover the whole set. A rule that denies decides if it covers the set, if
// the set covers all that it denies, or if EMQ would have matched the filter as
// if it were a topic; with strict it is enough that they have a topic in common.
func Judge(rules []Rule, c *Client, a Action, topic string, strict bool) int {
	var buf, expanded [depth]level
	j := judgement{text: topic, filter: a == Subscribe, strict: strict, buf: expanded[:0]}
	if j.filter {
		j.levels = split(buf[:0], topic)
	} else {
		j.levels = splitName(buf[:0], topic)
	}
	for i := range rules {
		if j.decides(&rules[i], c, a) {
			return i
		}
	}
	return -1
}

// depth is how many levels are handled without allocating.
const depth = 12

type judgement struct {
	text   string
	levels []level
	filter bool
	strict bool
	buf    []level // for the levels of a pattern with its variables filled in
}

// The client is no part of it, because a Matcher could keep it: the compiler would
// then put all of this on the heap.
func (j *judgement) decides(r *Rule, c *Client, a Action) bool {
	if r.Action&a == 0 || r.Who != nil && !r.Who.Matches(c) {
		return false
	}
	if len(r.Topics) == 0 {
		return true
	}
	for i := range r.Topics {
		p := &r.Topics[i]
		switch {
		case !j.filter:
			if j.matches(p, c) {
				return true
			}
		case r.Allow:
			if j.within(p, c) {
				return true
			}
		default:
			if j.touches(p, c) {
				return true
			}
		}
	}
	return false
}

// expand fills the client's names in. Each is one word, whatever it holds: a
// client that calls itself # gains nothing by it.
func (j *judgement) expand(p *Pattern, c *Client) []level {
	if !p.vars {
		return p.levels
	}
	out := j.buf[:0]
	for _, l := range p.levels {
		switch {
		case l.kind == varID && c.ClientID != "":
			l = level{text: c.ClientID}
		case l.kind == varUser && c.Username != "":
			l = level{text: c.Username}
		case l.kind >= varID: // the client has none: the word stays, as with EMQ
			l.kind = word
		}
		out = append(out, l)
	}
	return out
}

// matches tells whether a topic name is in the pattern.
func (j *judgement) matches(p *Pattern, c *Client) bool {
	if p.literal && p.wild() {
		return false
	}
	return matchWords(j.expand(p, c), j.levels, p.dollar)
}

// within tells whether the pattern covers the filter.
func (j *judgement) within(p *Pattern, c *Client) bool {
	if p.literal && p.wild() {
		return p.text == j.text
	}
	return covers(j.expand(p, c), j.levels, p.dollar, false)
}

// touches tells whether a filter asks for what the pattern denies.
func (j *judgement) touches(p *Pattern, c *Client) bool {
	levels := j.expand(p, c)
	if p.literal && p.wild() { // and other ways to write the same wildcard
		return p.text == j.text || covers(levels, j.levels, false, false) && covers(j.levels, levels, false, false)
	}
	return matchWords(levels, j.levels, p.dollar) ||
		covers(levels, j.levels, p.dollar, false) || covers(j.levels, levels, false, p.dollar) ||
		j.strict && overlaps(levels, j.levels, p.dollar, false)
}

func splitName(dst []level, name string) []level {
	for {
		text, rest, more := strings.Cut(name, "/")
		if dst = append(dst, level{text: text}); !more {
			return dst
		}
		name = rest
	}
}

func (p *Pattern) wild() bool {
	for _, l := range p.levels {
		if l.kind == single || l.kind == multi {
			return true
		}
	}
	return false
}

// reserved tells whether the first level keeps to topics that begin with $.
func reserved(l level) bool { return l.kind == word && strings.HasPrefix(l.text, "$") }

// leading tells whether a filter begins with a wildcard.
func leading(f []level) bool { return f[0].kind == single || f[0].kind == multi }

// matchWords tells whether the filter f matches the words of n, which are taken
// as they are: a wildcard among them is a word, as with EMQ. dollar says whether
// a leading wildcard of f matches a word that begins with $.
func matchWords(f, n []level, dollar bool) bool {
	if !dollar && leading(f) && strings.HasPrefix(n[0].text, "$") {
		return false
	}
	for i, l := range f {
		if l.kind == multi {
			return true // a/# matches a, too [MQTT-4.7.1-2]
		}
		if i == len(n) || l.kind == word && l.text != n[i].text {
			return false
		}
	}
	return len(f) == len(n)
}

// Covers tells whether every topic that the filter g matches is matched by f,
// too, as MQTT matches: a leading wildcard does not match $. [MQTT-4.7.2-1]
func Covers(f, g string) bool { return covers(split(nil, f), split(nil, g), false, false) }

// Overlaps tells whether some topic is matched by both filters.
func Overlaps(f, g string) bool { return overlaps(split(nil, f), split(nil, g), false, false) }

func covers(f, g []level, fDollar, gDollar bool) bool {
	if leading(f) && !fDollar && (reserved(g[0]) || leading(g) && gDollar) {
		return false
	}
	if g[0].kind == multi { // is the same as +/#, since every name has a level
		return f[0].kind == multi || len(f) == 2 && f[0].kind == single && f[1].kind == multi
	}
	for i := 0; ; i++ {
		switch {
		case i < len(f) && f[i].kind == multi:
			return true
		case i == len(g):
			return i == len(f)
		case i == len(f) || g[i].kind == multi:
			return false
		case f[i].kind == single:
		case g[i].kind == single || f[i].text != g[i].text:
			return false
		}
	}
}

func overlaps(f, g []level, fDollar, gDollar bool) bool {
	if leading(f) && !fDollar && reserved(g[0]) || leading(g) && !gDollar && reserved(f[0]) {
		return false
	}
	for i := 0; ; i++ {
		switch {
		case i < len(f) && f[i].kind == multi || i < len(g) && g[i].kind == multi:
			return true
		case i == len(f) || i == len(g):
			return len(f) == len(g)
		case f[i].kind == word && g[i].kind == word && f[i].text != g[i].text:
			return false
		}
	}
}
