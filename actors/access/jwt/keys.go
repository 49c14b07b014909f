package jwt

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// variables of EMQ's successors in the words of ours.
var variables = strings.NewReplacer("${clientid}", "%c", "${username}", "%u")

// errNoKeys is that the URL has not answered with any key yet.
var errNoKeys = errors.New("the set of keys has not been read")

// keys are those that tokens are checked with.
type keys struct {
	secret []byte
	rsa    *rsa.PublicKey
	ecdsa  *ecdsa.PublicKey
	remote *remote
}

func newKeys(o *Options) (k keys, err error) {
	k.secret = o.Secret
	if len(o.PublicKey) > 0 {
		var errRSA, errEC error
		k.rsa, errRSA = jwt.ParseRSAPublicKeyFromPEM(o.PublicKey)
		k.ecdsa, errEC = jwt.ParseECPublicKeyFromPEM(o.PublicKey)
		if errRSA != nil && errEC != nil {
			return k, errors.New("auth.jwt.pubkey: it holds no public key of RSA or ECDSA")
		}
	}
	if o.JWKS != "" {
		if k.remote, err = newRemote(o); err != nil {
			return k, err
		}
	}
	if len(k.methods()) == 0 {
		return k, errors.New("auth.jwt: there is no secret, no pubkey and no jwks")
	}
	return k, nil
}

// methods are the algorithms for which there may be a key.
func (k *keys) methods() []string {
	var all []string
	if len(k.secret) > 0 {
		all = append(all, "HS256", "HS384", "HS512")
	}
	if k.rsa != nil || k.remote != nil {
		all = append(all, "RS256", "RS384", "RS512")
	}
	if k.ecdsa != nil || k.remote != nil {
		all = append(all, "ES256", "ES384", "ES512")
	}
	return all
}

// find is asked for the key of a token whose algorithm is one of methods. Each kind of
// algorithm has keys of its own: a public key is never used as a secret.
func (k *keys) find(ctx context.Context) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		switch t.Method.(type) {
		case *jwt.SigningMethodHMAC:
			return k.secret, nil
		case *jwt.SigningMethodRSA:
			if k.rsa != nil && !k.named(t) {
				return k.rsa, nil
			}
		case *jwt.SigningMethodECDSA:
			if k.ecdsa != nil && !k.named(t) {
				return k.ecdsa, nil
			}
		}
		if k.remote == nil {
			return nil, jwt.ErrInvalidKeyType
		}
		return k.remote.find(ctx, t)
	}
}

// named tells that the token names its key, for one from the URL.
func (k *keys) named(t *jwt.Token) bool {
	_, named := t.Header["kid"]
	return named && k.remote != nil
}

func (k *keys) close() {
	if k.remote != nil {
		k.remote.close()
	}
}
