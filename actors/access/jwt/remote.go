package jwt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// remote is the set of keys at a URL.
type remote struct {
	stop      context.CancelFunc
	transport *http.Transport
	again     *rate.Limiter // of readings that tokens with unknown keys cause
	ready     chan struct{} // closed when the first reading has ended, well or not

	// What follows is written before ready is closed.
	known keyfunc.Keyfunc // looks in what was read
	fresh jwkset.Storage  // reads the set again when it is asked for an unknown key
	err   error
}

// unknownEvery is how often a token with an unknown key makes us read the set again.
// Anybody can make such tokens; somebody who really has a new key comes again.
const unknownEvery = 5 * time.Second

// newRemote begins to read the set.
func newRemote(o *Options) (*remote, error) {
	if u, err := url.Parse(o.JWKS); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("auth.jwt.jwks: it is not a URL of http or https")
	}
	timeout, refresh := o.Timeout, o.Refresh
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	if refresh == 0 {
		refresh = 5 * time.Minute
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &remote{
		stop: stop, ready: make(chan struct{}), again: rate.NewLimiter(rate.Every(unknownEvery), 1),
		transport: &http.Transport{
			TLSClientConfig: o.TLS, TLSHandshakeTimeout: timeout, MaxConnsPerHost: 2, IdleConnTimeout: time.Minute,
		},
	}
	go func() {
		defer close(r.ready)
		r.err = r.open(o.JWKS, jwkset.HTTPClientStorageOptions{
			Client:                    &http.Client{Transport: limited{r.transport}, Timeout: timeout},
			Ctx:                       ctx,
			HTTPTimeout:               timeout,
			NoErrorReturnFirstHTTPReq: true, // it is read again
			RefreshInterval:           refresh,
		})
	}()
	return r, nil
}

func (r *remote) open(address string, o jwkset.HTTPClientStorageOptions) error {
	set, err := jwkset.NewStorageFromHTTP(address, o)
	if err != nil {
		return err
	}
	if r.known, err = keyfunc.New(keyfunc.Options{Ctx: o.Ctx, Storage: set}); err != nil {
		return err
	}
	r.fresh, err = jwkset.NewHTTPClient(jwkset.HTTPClientOptions{
		HTTPURLs:          map[string]jwkset.Storage{address: set},
		RefreshUnknownKID: rate.NewLimiter(rate.Inf, 1), // we have again
		RateLimitWaitMax:  o.HTTPTimeout,
	})
	return err
}

func (r *remote) close() {
	r.stop()
	<-r.ready
	r.transport.CloseIdleConnections()
}

// find returns the key of a token. It waits for the first reading of the set, and
// for another one if there is no such key and it is time for that.
func (r *remote) find(ctx context.Context, t *jwt.Token) (any, error) {
	select {
	case <-r.ready:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errNoKeys, ctx.Err())
	}
	if r.err != nil {
		return nil, errNoKeys
	}
	key, err := r.look(ctx, t)
	if err == nil || !r.again.Allow() {
		return key, err
	}
	_, _ = r.fresh.KeyRead(ctx, "\x00") // no key's name; what it has read is looked at now
	return r.look(ctx, t)
}

// look does not wait.
func (r *remote) look(ctx context.Context, t *jwt.Token) (any, error) {
	key, err := r.known.KeyfuncCtx(ctx)(t)
	if set, ok := key.(jwt.VerificationKeySet); err == nil && (!ok || len(set.Keys) > 0) {
		return key, nil
	}
	if all, err := r.known.Storage().KeyReadAll(ctx); err != nil || len(all) == 0 {
		return nil, errNoKeys
	}
	return nil, jwt.ErrInvalidKey
}

// limited bounds what a server may make us read.
type limited struct{ http.RoundTripper }

// maxSet is the length of some thousand keys.
const maxSet = 1 << 20

// RoundTrip cuts what is longer off.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxSet), resp.Body}
	return resp, nil
}
