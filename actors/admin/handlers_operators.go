package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"emqttd/actors/admin/operators"
)

func operatorHandlers() []*Handler {
	return []*Handler{
		{Name: "admins", Run: admins, Usage: []Usage{
			{"admins list", "List who may use the HTTP API"},
			{"admins add <User> <Password> [<Tags>]", "Add one; the tag viewer, operator or administrator is his role"},
			{"admins passwd <User> <Password>", "Change a password"},
			{"admins del <User>", "Delete one"},
		}},
		{Name: "apikeys", Run: apiKeys, Usage: []Usage{
			{"apikeys list", "List the keys of programs that use the HTTP API"},
			{"apikeys add <Role> [<Duration>|forever [<Note>]]", "Make one for a viewer, operator or admin; its secret is shown this once"},
			{"apikeys del <Id>", "Delete one"},
		}},
	}
}

func admins(r *Request) Result {
	a := r.Sources.Operators
	ctx, cancel := context.WithTimeout(context.Background(), AccessTime)
	defer cancel()
	verb := ""
	if len(r.Args) > 0 {
		verb = r.Args[0]
	}
	switch n := len(r.Args); {
	case verb == "list" && n == 1:
		return slicePage(r, a.Users(), func(b *strings.Builder, u operators.User) {
			fmt.Fprintf(b, "User(%s, tags=%s, role=%s)\n", safe(u.Name), safe(u.Tags), u.Role)
		})
	case verb == "add" && (n == 3 || n == 4):
		tags := ""
		if n == 4 {
			tags = r.Args[3]
		}
		err := a.Add(ctx, r.Args[1], r.Args[2], tags)
		if errors.Is(err, operators.ErrExists) {
			return Result{Text: "Error: already existed\n", ExitCode: ExitFailed}
		}
		return changed(err)
	case verb == "passwd" && n == 3:
		return missing(a.SetPassword(ctx, r.Args[1], r.Args[2]))
	case verb == "del" && n == 2:
		return missing(a.Delete(r.Args[1]))
	}
	return r.WrongArguments()
}

// missing is changed, for what may not be there.
func missing(err error) Result {
	if errors.Is(err, operators.ErrNone) {
		return notFound()
	}
	return changed(err)
}

// newKey is what making a key tells.
type newKey struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

func apiKeys(r *Request) Result {
	a := r.Sources.Operators
	switch n := len(r.Args); {
	case n == 1 && r.Args[0] == "list":
		return slicePage(r, a.Keys(), func(b *strings.Builder, k operators.Key) {
			until := "never"
			if k.Expires != nil {
				until = FormatTime(*k.Expires)
			}
			fmt.Fprintf(b, "Key(%s, role=%s, created_at=%s, expires_at=%s, note=%s)\n", k.ID, k.Role, FormatTime(k.Created), until, safe(k.Note))
		})
	case n >= 2 && n <= 4 && r.Args[0] == "add":
		return addKey(r, a)
	case n == 2 && r.Args[0] == "del":
		return missing(a.DeleteKey(r.Args[1]))
	}
	return r.WrongArguments()
}

func addKey(r *Request, a *operators.Accounts) Result {
	role, err := operators.ParseRole(r.Args[1])
	if err != nil {
		return refused(err)
	}
	var expires *time.Time
	if len(r.Args) > 2 && r.Args[2] != "forever" {
		d, err := time.ParseDuration(r.Args[2])
		if err != nil || d <= 0 {
			return refused(fmt.Errorf("expected a duration such as 720h, or forever; got %q", r.Args[2]))
		}
		at := time.Now().Add(d).UTC().Truncate(time.Second)
		expires = &at
	}
	note := ""
	if len(r.Args) == 4 {
		note = r.Args[3]
	}
	id, secret, err := a.NewKey(role, note, expires)
	if err != nil {
		return refused(err)
	}
	return one(r, newKey{id, secret}, func(b *strings.Builder, k newKey) {
		fmt.Fprintf(b, "%-8s: %s\n%-8s: %s\n", "id", k.ID, "secret", k.Secret)
	})
}
