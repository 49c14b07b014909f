package scenario

import (
	"testing"

	"emqttd/protocol"
	"emqttd/protocol/mqtt"
	"emqttd/tests/testkit"
)

func TestADrainedNodeSendsItsClientsElsewhere(t *testing.T) { // MQTT 5.0, 4.11
	home := testkit.NewHome(t)
	home.Foreground()
	const elsewhere = "mqtt://b.example:1883"
	old, young := testkit.Dial(t, home.MQTT), testkit.Dial(t, home.MQTT)
	old.Connect(testkit.Hello("old"))
	young.Connect(hello5("young"))

	want(t, home.Ctl("drain", elsewhere), 0, "Draining: 2 clients are asked to leave.\n")
	if d := young.ExpectDisconnect(); d.Code != protocol.UseAnotherServer || d.ServerReference != elsewhere {
		t.Errorf("it was told %s, %q", d.Code, d.ServerReference)
	}
	young.ExpectClosed()
	old.ExpectClosed()

	late := testkit.Dial(t, home.MQTT)
	late.Version = mqtt.V5
	late.Send(hello5("late"))
	if p := late.ExpectConnack(); p.Code != protocol.UseAnotherServer || p.Properties.ServerReference != elsewhere {
		t.Errorf("a new client was told %s, %q", p.Code, p.Properties.ServerReference)
	}
	late.ExpectClosed()
	late = testkit.Dial(t, home.MQTT)
	late.Send(testkit.Hello("late"))
	if p := late.ExpectConnack(); p.Code != protocol.ServerUnavailable {
		t.Errorf("a new client of 3.1.1 was told %s", p.Code)
	}

	want(t, home.Ctl("drain", "--moved"), 0, "Draining: 0 clients are asked to leave.\n")
	late = testkit.Dial(t, home.MQTT)
	late.Version = mqtt.V5
	late.Send(hello5("late"))
	if p := late.ExpectConnack(); p.Code != protocol.ServerMoved {
		t.Errorf("a new client was told %s", p.Code)
	}
	want(t, home.Ctl("drain", "off"), 0, "ok\n")
	back := testkit.Dial(t, home.MQTT)
	back.Connect(hello5("late"))
	back.Ping()
}
