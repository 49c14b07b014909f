package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"emqttd/config"
)

// Cluster is what can be asked and told of the other nodes. It is used as Sources are.
type Cluster interface {
	// Members are all nodes that are known, this one among them, also those that are down and not yet forgotten.
	Members() []MemberInfo
	// Join makes this node look for the one at an address, host:port, and returns when both are members or it is known
	// that they cannot be. It returns one of the errors below, or another reason.
	Join(address string) error
	// Leave parts from all others, until an operator lets this node join again or it is started anew.
	Leave() error
	// ForceLeave forgets a node that is down, here and at all other members.
	ForceLeave(name string) error
}

// Refusals of Cluster.
var (
	ErrNodeDown         = errors.New("node_down")          // Join: nobody answers there
	ErrAlreadyInCluster = errors.New("already_in_cluster") // Join: it is a member
	ErrNotInCluster     = errors.New("node_not_in_cluster")
	ErrSelf             = errors.New("the node itself") // Join, ForceLeave: there is nothing to do
)

// MemberInfo is a node as this one sees it.
type MemberInfo struct {
	Name    string `json:"node"`
	Address string `json:"address"` // of its node.dist_advertise
	Version string `json:"version"`
	State   string `json:"state"` // up, suspect or MemberDown
}

// MemberDown is the state of a node that is not there, and not forgotten.
const MemberDown = "down"

// running tells whether EMQ would list it as such.
func (m *MemberInfo) running() bool { return m.State != MemberDown }

func clusterHandler() *Handler {
	return &Handler{Name: "cluster", Run: clusterCommand, Usage: []Usage{
		{"cluster join <Node>", "Join the cluster of a node: name@host, or host:port of its node.dist_advertise"},
		{"cluster leave", "Leave the cluster"},
		{"cluster force-leave <Node>", "Forget a node that is down, on all nodes"},
		{"cluster status", "Show the nodes of the cluster"},
		{"cluster members", "Show the nodes with their addresses, versions and states"},
		{"cluster drain [--server <Server>] [--moved]", "The same as drain: send the clients of this node away"},
		{"cluster drain off", "Take clients again"},
	}}
}

func clusterCommand(r *Request) Result {
	verb, args := "", []string(nil)
	if len(r.Args) > 0 {
		verb, args = r.Args[0], r.Args[1:]
	}
	switch {
	case verb == "status" && len(args) == 0:
		return clusterStatus(r, "")
	case verb == "members" && len(args) == 0:
		return slicePage(r, members(r.Sources), memberLine)
	case verb == "join" && len(args) == 1:
		return clusterJoin(r, args[0])
	case verb == "leave" && len(args) == 0:
		return clusterLeave(r)
	case (verb == "force-leave" || verb == "remove") && len(args) == 1: // remove: EMQ 2.0 to 2.2
		return clusterForceLeave(r, args[0])
	case verb == "drain":
		return clusterDrain(r, args)
	}
	return r.WrongArguments()
}

// members are all nodes in the order of their names.
func members(s *Sources) []MemberInfo {
	if s.Cluster == nil {
		return []MemberInfo{{Name: s.Node, Version: s.Version, State: "up"}}
	}
	all := slices.Clone(s.Cluster.Members())
	slices.SortFunc(all, func(a, b MemberInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func memberLine(b *strings.Builder, m MemberInfo) {
	fmt.Fprintf(b, "Member(%s, address=%s, version=%s, state=%s)\n", m.Name, m.Address, m.Version, m.State)
}

// clusterState is what EMQ tells of a cluster.
type clusterState struct {
	Running []string `json:"running_nodes"`
	Stopped []string `json:"stopped_nodes,omitempty"`
}

// clusterStatus shows the nodes as Erlang prints a list of atoms, behind what was done.
func clusterStatus(r *Request, done string) Result {
	s := clusterState{}
	for _, m := range members(r.Sources) {
		if m.running() {
			s.Running = append(s.Running, m.Name)
		} else {
			s.Stopped = append(s.Stopped, m.Name)
		}
	}
	return one(r, s, func(b *strings.Builder, s clusterState) {
		fmt.Fprintf(b, "%sCluster status: [{running_nodes,%s}", done, atoms(s.Running))
		if len(s.Stopped) > 0 {
			fmt.Fprintf(b, ",{stopped_nodes,%s}", atoms(s.Stopped))
		}
		b.WriteString("]\n")
	})
}

func atoms(names []string) string {
	if len(names) == 0 {
		return "[]"
	}
	return "['" + strings.Join(names, "','") + "']"
}

// nodeNamed adds the host of this node to a name without one, as EMQ does.
func nodeNamed(r *Request, text string) string {
	if strings.ContainsAny(text, "@:") {
		return text
	}
	_, host, _ := strings.Cut(r.Sources.Node, "@")
	return text + "@" + host
}

func clusterJoin(r *Request, node string) Result {
	node = nodeNamed(r, node)
	address, err := config.NodeAddress(node)
	switch {
	case node == r.Sources.Node:
		err = ErrSelf
	case err != nil:
	case r.Sources.Cluster == nil:
		err = errAlone
	default:
		err = r.Sources.Cluster.Join(address)
	}
	return clusterDone(r, err, node, "Join the cluster successfully.\n", "Failed to join the cluster: ")
}

var errAlone = errors.New("this node takes part in no cluster")

func clusterLeave(r *Request) Result {
	err := ErrNotInCluster
	if r.Sources.Cluster != nil {
		err = r.Sources.Cluster.Leave()
	}
	return clusterDone(r, err, "", "Leave the cluster successfully.\n", "Failed to leave the cluster: ")
}

func clusterForceLeave(r *Request, node string) Result {
	node = nodeNamed(r, node)
	err := ErrNotInCluster
	switch {
	case node == r.Sources.Node:
		err = ErrSelf
	case r.Sources.Cluster != nil:
		err = r.Sources.Cluster.ForceLeave(node)
	}
	return clusterDone(r, err, "", "Remove the node from cluster successfully.\n", "Failed to remove the node from cluster: ")
}

// clusterDone says how it went, in the words of EMQ.
func clusterDone(r *Request, err error, node, done, failed string) Result {
	switch {
	case err == nil:
		return clusterStatus(r, done)
	case errors.Is(err, ErrSelf):
		return Result{Text: "Ignore.\n"}
	case node != "" && (errors.Is(err, ErrNodeDown) || errors.Is(err, ErrAlreadyInCluster)):
		return Result{Text: fmt.Sprintf("%s{%v,'%s'}\n", failed, err, safe(node)), ExitCode: ExitFailed}
	}
	return Result{Text: fmt.Sprintf("%s%v\n", failed, err), ExitCode: ExitFailed}
}

// clusterDrain is drain, with the server behind a flag.
func clusterDrain(r *Request, args []string) Result {
	there := *r
	there.Args = nil
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--server" && i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") && args[i+1] != "off":
			i++
			there.Args = append(there.Args, args[i])
		case args[i] == "--moved" || args[i] == "off" && len(args) == 1:
			there.Args = append(there.Args, args[i])
		default:
			return r.WrongArguments()
		}
	}
	return drain(&there)
}
