package events

import (
	"errors"
	"sync"
	"testing"
)

func TestListenersGetWhatTheyWant(t *testing.T) {
	var h Hub
	h.Publish(Event{Kind: ClientConnected, ClientID: "before"}) // nobody hears it
	all, err := h.Listen()
	if err != nil {
		t.Fatal(err)
	}
	alarms, err := h.Listen(AlarmRaised, AlarmCleared)
	if err != nil {
		t.Fatal(err)
	}
	h.Publish(Event{Kind: ClientConnected, ClientID: "c"})
	h.Publish(Event{Kind: AlarmRaised, Alarm: "a"})
	if e := <-all.C(); e.ClientID != "c" || e.At.IsZero() {
		t.Errorf("%+v", e)
	}
	for _, l := range []*Listener{all, alarms} {
		if e := <-l.C(); e.Alarm != "a" {
			t.Errorf("%+v", e)
		}
		l.Close()
		l.Close()
		if _, open := <-l.C(); open || l.Slow() {
			t.Error("it is still open, or was cut off")
		}
	}
	if !h.Idle() {
		t.Error("somebody still listens")
	}
}

func TestASlowListenerIsCutOffAndTheOthersGoOn(t *testing.T) {
	var h Hub
	slow, err := h.Listen()
	if err != nil {
		t.Fatal(err)
	}
	quick, err := h.Listen()
	if err != nil {
		t.Fatal(err)
	}
	const n = queueLen + 10
	for range n {
		h.Publish(Event{Kind: ClientConnected})
		<-quick.C()
	}
	got := 0
	for range slow.C() {
		got++
	}
	if got != queueLen || !slow.Slow() {
		t.Errorf("%d events, slow %t", got, slow.Slow())
	}
	slow.Close()
	h.Publish(Event{Kind: ClientConnected, ClientID: "on"})
	if e := <-quick.C(); e.ClientID != "on" {
		t.Errorf("%+v", e)
	}
}

func TestListenersAreBounded(t *testing.T) {
	var h Hub
	for range maxListeners {
		if _, err := h.Listen(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Listen(); !errors.Is(err, ErrTooMany) {
		t.Errorf("%v", err)
	}
	h.Close()
	if _, err := h.Listen(); !errors.Is(err, ErrTooMany) || !h.Idle() {
		t.Errorf("%v, idle %t", err, h.Idle())
	}
}

func TestListenersMayLeaveWhileEventsCome(t *testing.T) {
	var h Hub
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 200 {
				if l, err := h.Listen(); err == nil {
					h.Publish(Event{Kind: ClientConnected})
					l.Close()
				}
			}
		})
	}
	wait.Wait()
	if !h.Idle() {
		t.Error("somebody is left")
	}
}
