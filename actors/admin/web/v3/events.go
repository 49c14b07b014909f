package v3

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2/sse"

	"emqttd/actors/admin/events"
	"emqttd/actors/admin/operators"
)

// The data of the events. Each kind has a type of its own.
type (
	clientConnected struct {
		At       time.Time `json:"at"`
		ClientID string    `json:"client_id"`
		Username string    `json:"username"`
		IP       string    `json:"ip"`
	}
	clientDisconnected struct {
		At       time.Time `json:"at"`
		ClientID string    `json:"client_id"`
		Username string    `json:"username"`
		Reason   string    `json:"reason"`
	}
	subscribed struct {
		At       time.Time `json:"at"`
		ClientID string    `json:"client_id"`
		Topic    string    `json:"topic"`
		QoS      byte      `json:"qos"`
	}
	unsubscribed struct {
		At       time.Time `json:"at"`
		ClientID string    `json:"client_id"`
		Topic    string    `json:"topic"`
	}
	alarmRaised struct {
		At       time.Time `json:"at"`
		ID       string    `json:"id"`
		Severity string    `json:"severity"`
		Title    string    `json:"title"`
	}
	alarmCleared struct {
		At time.Time `json:"at"`
		ID string    `json:"id"`
	}
	// opened is the first: what happens from now on is told.
	opened struct {
		Node string `json:"node"`
	}
	// ping says that the connection lives.
	ping struct {
		At time.Time `json:"at"`
	}
	// cut is the last one: no more will come.
	cut struct {
		Reason string `json:"reason" enum:"slow,closed"`
	}
)

// dataOf is an event as it is sent.
func dataOf(e *events.Event) any {
	switch e.Kind {
	case events.ClientConnected:
		return clientConnected{e.At, e.ClientID, e.Username, e.Peer}
	case events.ClientDisconnected:
		return clientDisconnected{e.At, e.ClientID, e.Username, e.Reason}
	case events.Subscribed:
		return subscribed{e.At, e.ClientID, e.Topic, e.QoS}
	case events.Unsubscribed:
		return unsubscribed{e.At, e.ClientID, e.Topic}
	case events.AlarmRaised:
		return alarmRaised{e.At, e.Alarm, e.Severity, e.Title}
	default:
		return alarmCleared{e.At, e.Alarm}
	}
}

// pingEvery is how long a listener hears nothing. Proxies close what is silent for a minute.
const pingEvery = 20 * time.Second

// eventFilter chooses events.
type eventFilter struct {
	Kinds []string `query:"kinds" doc:"Only these, with commas between." enum:"client.connected,client.disconnected,session.subscribed,session.unsubscribed,alarm.raised,alarm.cleared"`
}

func (a *api) registerEvents() {
	o := op("events", operators.Viewer, http.MethodGet, "/events", "listen", "What changes, as server-sent events", 422)
	o.Description += " The first event is open. One who does not keep up is sent cut, and the connection ends: what was missed is found by listing. " +
		"The same happens where too many listen."
	sse.Register(a, o, map[string]any{
		"open":                            opened{},
		string(events.ClientConnected):    clientConnected{},
		string(events.ClientDisconnected): clientDisconnected{},
		string(events.Subscribed):         subscribed{},
		string(events.Unsubscribed):       unsubscribed{},
		string(events.AlarmRaised):        alarmRaised{},
		string(events.AlarmCleared):       alarmCleared{},
		"ping":                            ping{},
		"cut":                             cut{},
	}, a.listen)
}

func (a *api) listen(ctx context.Context, in *eventFilter, send sse.Sender) {
	var kinds []events.Kind
	for _, k := range in.Kinds {
		if !slices.Contains(kinds, events.Kind(k)) {
			kinds = append(kinds, events.Kind(k))
		}
	}
	l, err := a.src.Events.Listen(kinds...)
	if err != nil {
		_ = send.Data(cut{"closed"}) // it ends either way
		return
	}
	defer l.Close()
	if send.Data(opened{a.src.Node}) != nil {
		return
	}
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			err = send.Data(ping{now.UTC()})
		case e, ok := <-l.C():
			if !ok {
				reason := "closed"
				if l.Slow() {
					reason = "slow"
				}
				_ = send.Data(cut{reason}) // it ends either way
				return
			}
			e.At = e.At.UTC()
			err = send.Data(dataOf(&e))
		}
		if err != nil {
			return
		}
	}
}
