package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"emqttd/actors/access"
)

// AccessTime bounds a command that may wait for back ends or slow password hashes.
const AccessTime = 50 * time.Second

func accessHandlers() []*Handler {
	return []*Handler{
		{Name: "access", Run: accessCommand, Usage: []Usage{
			{"access test [--client <Id>] [--user <Name>]", "Show what a client may, and why; with [--password <Pw>] [--peer <IP>]"},
			{"            [--publish <Topic>]...", "May it publish that?"},
			{"            [--subscribe <Filter>]...", "May it subscribe to that?"},
			{"access stats", "Show what the authentication modules answered"},
		}},
		{Name: "acl", Run: aclCommand, Usage: []Usage{{"acl reload", "Read the file of the access rules again"}}},
		accountsHandler("users", "user", func(c *access.Chain) *access.Accounts { return c.Users() }),
		accountsHandler("clientids", "client", func(c *access.Chain) *access.Accounts { return c.Clients() }),
		{Name: "banned", Run: bannedCommand, Usage: []Usage{
			{"banned list", "List who is banned"},
			{"banned add <Kind> <Who> [<Duration> [<Reason>]]", "Ban a clientid, username or peerhost (an IP or a CIDR), for ever or for 30m, 12h …"},
			{"banned del <Kind> <Who>", "Lift a ban"},
		}},
	}
}

func accessCommand(r *Request) Result {
	switch {
	case len(r.Args) == 1 && r.Args[0] == "stats":
		return slicePage(r, r.Sources.Access.Stats(), moduleLine)
	case len(r.Args) > 0 && r.Args[0] == "test":
		q, ok := parseAccessTest(r.Args[1:])
		if !ok {
			return r.WrongArguments()
		}
		return q.run(r.Sources.Access)
	}
	return r.WrongArguments()
}

func moduleLine(b *strings.Builder, s access.ModuleStats) {
	fmt.Fprintf(b, "%s\n", s.Name)
	for _, f := range []Stat{
		{"ok", int64(s.OK)},
		{"denied", int64(s.Denied)},
		{"ignored", int64(s.Ignored)},
		{"errors", int64(s.Errors)},
		{"timeouts", int64(s.Timeouts)},
		{"rejected", int64(s.Rejected)},
		{"open", int64(s.Open)},
		{"calls", int64(s.Calls)},
	} {
		fmt.Fprintf(b, "  %-10s: %d\n", f.Name, f.Value)
	}
	if s.Breaker != "" {
		fmt.Fprintf(b, "  %-10s: %s\n", "breaker", s.Breaker)
	}
}

// accessTest is the question of `access test`.
type accessTest struct {
	cred               access.Credentials
	publish, subscribe []string
}

func parseAccessTest(args []string) (q accessTest, ok bool) {
	q.cred.Protocol = "mqtt"
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			return q, false
		}
		switch v := args[i+1]; args[i] {
		case "--client":
			q.cred.ClientID = v
		case "--user":
			q.cred.Username = v
		case "--password":
			q.cred.Password = []byte(v)
		case "--peer":
			q.cred.Peer = v
		case "--publish":
			q.publish = append(q.publish, v)
		case "--subscribe":
			q.subscribe = append(q.subscribe, v)
		default:
			return q, false
		}
	}
	return q, true
}

// run asks, and ends with code 1 if anything is denied.
func (q *accessTest) run(chain *access.Chain) Result {
	ctx, cancel := context.WithTimeout(context.Background(), AccessTime)
	defer cancel()
	report := chain.Test(ctx, &q.cred, q.publish, q.subscribe)
	var b strings.Builder
	res := Result{}
	if report.Decision != access.Accept {
		res.ExitCode = ExitFailed
	}
	fmt.Fprintf(&b, "%-10s: %s (%s)\n", "connect", report.Decision, safe(report.Why))
	for _, m := range report.Modules {
		if m.Err != nil {
			fmt.Fprintf(&b, "  %-8s: cannot answer: %s\n", m.Name, safe(m.Err.Error()))
			continue
		}
		fmt.Fprintf(&b, "  %-8s: %s (%s)\n", m.Name, m.Verdict, safe(m.Why))
	}
	fmt.Fprintf(&b, "%-10s: %s\n%-10s: %t\n", "username", safe(OrUndefined(report.Username)), "superuser", report.Superuser)
	if !report.Expires.IsZero() {
		fmt.Fprintf(&b, "%-10s: %s\n", "expires", FormatTime(report.Expires))
	}
	for _, t := range report.Topics {
		verdict := "allow"
		if !t.Allow {
			verdict, res.ExitCode = "deny", ExitFailed
		}
		if t.Err != nil {
			t.Why = t.Err.Error()
		}
		fmt.Fprintf(&b, "%-10s: %s %s (%s)\n", t.Action, verdict, safe(t.Topic), safe(t.Why))
	}
	res.Text = b.String()
	return res
}

func aclCommand(r *Request) Result {
	if !slices.Equal(r.Args, []string{"reload"}) {
		return r.WrongArguments()
	}
	if err := r.Sources.Access.ReloadACL(); err != nil {
		return refused(err)
	}
	return Result{}
}

// accountsHandler manages the node's own users, or clients.
func accountsHandler(name, one string, of func(*access.Chain) *access.Accounts) *Handler {
	title := strings.ToUpper(one[:1]) + one[1:]
	return &Handler{
		Name: name,
		Run:  func(r *Request) Result { return accountsCommand(r, of(r.Sources.Access)) },
		Usage: []Usage{
			{name + " list [superusers]", "List the " + one + "s that the node knows itself"},
			{name + " add <" + title + "> <Password> [--superuser]", "Add a " + one},
			{name + " passwd <" + title + "> <Password> [--superuser]", "Change the password of a " + one},
			{name + " del <" + title + ">", "Delete a " + one + "; its connections end"},
		},
	}
}

func accountsCommand(r *Request, accounts *access.Accounts) Result {
	args := slices.Clone(r.Args)
	super := len(args) == 4 && args[3] == "--superuser"
	if super {
		args = args[:3]
	}
	if accounts == nil {
		return refused(errors.New("the node keeps no accounts"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), AccessTime)
	defer cancel()
	switch {
	case len(args) == 1 && args[0] == "list", slices.Equal(args, []string{"list", "superusers"}):
		rows := slices.DeleteFunc(accounts.List(), func(a access.Account) bool { return len(args) == 2 && !a.Superuser })
		return slicePage(r, rows, func(b *strings.Builder, a access.Account) { b.WriteString(safe(a.Name) + "\n") })
	case len(args) == 3 && args[0] == "add":
		switch err := accounts.Add(ctx, args[1], []byte(args[2]), super); {
		case errors.Is(err, access.ErrExists):
			return Result{Text: "{error,existed}\n", ExitCode: ExitFailed}
		default:
			return changed(err)
		}
	case len(args) == 3 && args[0] == "passwd":
		if !slices.ContainsFunc(accounts.List(), func(a access.Account) bool { return a.Name == args[1] }) {
			return notFound()
		}
		return changed(accounts.Set(ctx, args[1], []byte(args[2]), super))
	case len(args) == 2 && args[0] == "del":
		_, err := accounts.Delete(args[1])
		return changed(err)
	}
	return r.WrongArguments()
}

func changed(err error) Result {
	if err != nil {
		return refused(err)
	}
	return Result{Text: "ok\n"}
}

func bannedCommand(r *Request) Result {
	bans := r.Sources.Access.Bans()
	if bans == nil {
		return refused(errors.New("the node keeps no bans"))
	}
	switch {
	case slices.Equal(r.Args, []string{"list"}):
		return slicePage(r, bans.List(), banLine)
	case len(r.Args) >= 3 && len(r.Args) <= 5 && r.Args[0] == "add":
		ban := access.Ban{Kind: access.BanKind(r.Args[1]), Who: r.Args[2], By: "emqttd_ctl"}
		if len(r.Args) > 3 && r.Args[3] != "forever" {
			d, err := time.ParseDuration(r.Args[3])
			if err != nil || d <= 0 {
				return refused(fmt.Errorf("expected a duration such as 30m or 12h, or forever; got %q", r.Args[3]))
			}
			ban.Until = time.Now().Add(d)
		}
		if len(r.Args) == 5 {
			ban.Reason = r.Args[4]
		}
		return changed(bans.Add(ban))
	case len(r.Args) == 3 && r.Args[0] == "del":
		found, err := bans.Remove(access.BanKind(r.Args[1]), r.Args[2])
		if err == nil && !found {
			return notFound()
		}
		return changed(err)
	}
	return r.WrongArguments()
}

func banLine(b *strings.Builder, x access.Ban) {
	until := "forever"
	if !x.Until.IsZero() {
		until = FormatTime(x.Until)
	}
	fmt.Fprintf(b, "%s %s until=%s reason=%q by=%s at=%s\n", x.Kind, safe(x.Who), until, x.Reason, safe(x.By), FormatTime(x.At))
}
