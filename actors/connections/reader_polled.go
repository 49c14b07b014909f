package connections

// The states of a reader whose connection is polled.
const (
	resting uint32 = iota // until Ready
	turning               // a worker has it, or whoever holds it back
	again                 // the same, and Ready was called meanwhile
)

// watch begins to read.
func (r *reader) watch(p Polled) {
	if len(r.held) == 0 {
		p.Watch(r)
		return
	}
	r.state.Store(turning)
	p.Watch(r)
	r.c.rt.workers.run(r)
}

// Ready implements the watcher of Polled.
func (r *reader) Ready() {
	for {
		switch r.state.Load() {
		case resting:
			if r.state.CompareAndSwap(resting, turning) {
				r.c.rt.workers.run(r)
				return
			}
		case turning:
			if r.state.CompareAndSwap(turning, again) {
				return
			}
		default:
			return
		}
	}
}

// poll handles what there is, read by read. A reader that is over never rests.
func (r *reader) poll() {
	p := r.c.t.(Polled)
	if !r.begun {
		r.begun = true
		r.turn(nil, nil)
	}
	for !r.over {
		if r.behind() {
			go r.resume()
			return
		}
		r.state.Store(turning) // what comes from here on is announced anew
		b := takeBuffer(r.prefix())
		n, err := p.TryRead(b.rest())
		if n > 0 {
			b.grew(n)
			r.turn(b, nil)
			continue
		}
		b.Free()
		if err != nil {
			r.turn(nil, err)
		} else if r.state.CompareAndSwap(turning, resting) {
			return
		}
	}
}

// resume goes on with a client that has to wait. Nobody reads it meanwhile.
func (r *reader) resume() {
	r.catchUp()
	r.c.rt.workers.run(r)
}
