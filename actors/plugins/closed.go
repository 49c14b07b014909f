package plugins

import "emqttd/actors/access"

// Modules of the access chain outlive their plugin where it has crashed: a door does
// not stand open because its keeper is gone. They stand there suspended, which denies,
// until the plugin runs again, or an operator unloads it.

// shut takes the modules of a plugin that ends: they go with it if it is to end, or was
// not running yet.
func (h *Host) shut(name string, modules []*access.Added) {
	h.mu.Lock()
	s := h.loaded[name]
	keep := s != nil && s.started && !s.leaving && !h.stopped
	if keep {
		h.shutDoors[name] = append(h.shutDoors[name], modules...)
	}
	h.mu.Unlock()
	for _, m := range modules {
		if keep {
			m.Suspend()
		} else {
			m.Remove()
		}
	}
}

// open takes out what is suspended of a plugin and has not been taken the place of.
// ok is false if there was nothing.
func (h *Host) open(name string) (ok bool) {
	h.mu.Lock()
	modules := h.shutDoors[name]
	delete(h.shutDoors, name)
	h.mu.Unlock()
	for _, m := range modules {
		m.Remove()
	}
	return len(modules) > 0
}
