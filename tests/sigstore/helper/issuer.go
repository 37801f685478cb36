package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// An issuer of people (under /) and one of workflows (under /ci): everybody who asks is let in, as the person named in
// FOLDER/person. /mint gives tokens without ceremony. What each client sent is appended to FOLDER/issuer.log.
type issuer struct {
	url, folder string
	key         *rsa.PrivateKey
	mutex       sync.Mutex
	codes       map[string]url.Values
}

func serve(folder, address string) {
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join(folder, "issuer.key"))))
	key := must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*rsa.PrivateKey)
	_, port := splitPort(address)
	it := &issuer{url: "http://localhost:" + port, folder: folder, key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	for _, path := range []string{"", "/ci"} {
		mux.HandleFunc(path+"/.well-known/openid-configuration", it.discovery(path))
		mux.HandleFunc(path+"/keys", it.keys)
	}
	mux.HandleFunc("/auth", it.authorize)
	mux.HandleFunc("/device", it.device)
	mux.HandleFunc("/token", it.token)
	mux.HandleFunc("/mint", it.mint)
	mux.HandleFunc("/ci/actions", it.actions)
	mux.Handle("/tuf/", http.StripPrefix("/tuf/", http.FileServer(http.Dir(filepath.Join(folder, "tuf")))))
	fail(http.ListenAndServe(address, mux))
}

func splitPort(address string) (string, string) {
	for at := len(address) - 1; at >= 0; at-- {
		if address[at] == ':' {
			return address[:at], address[at+1:]
		}
	}
	return address, ""
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func (it *issuer) discovery(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		reply(w, 200, map[string]any{
			"issuer":                                it.url + path,
			"authorization_endpoint":                it.url + "/auth",
			"token_endpoint":                        it.url + "/token",
			"device_authorization_endpoint":         it.url + "/device",
			"jwks_uri":                              it.url + path + "/keys",
			"response_types_supported":              []string{"code"},
			"subject_types_supported":               []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
			"code_challenge_methods_supported":      []string{"S256"},
		})
	}
}

func encoded(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func (it *issuer) keys(w http.ResponseWriter, _ *http.Request) {
	reply(w, 200, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "bed",
		"n": encoded(it.key.N.Bytes()), "e": encoded(big.NewInt(int64(it.key.E)).Bytes()),
	}}})
}

func (it *issuer) sign(claims map[string]any) string {
	head := must(json.Marshal(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "bed"}))
	text := encoded(head) + "." + encoded(must(json.Marshal(claims)))
	digest := sha256.Sum256([]byte(text))
	return text + "." + encoded(must(rsa.SignPKCS1v15(rand.Reader, it.key, crypto.SHA256, digest[:])))
}

func (it *issuer) person(email, nonce string) string {
	if email == "" {
		email = string(must(os.ReadFile(filepath.Join(it.folder, "person"))))
	}
	claims := it.times(it.url)
	maps.Copy(claims, map[string]any{"sub": email, "email": email, "email_verified": true})
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return it.sign(claims)
}

func (it *issuer) times(url string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": url, "aud": "sigstore", "iat": now, "exp": now + 600}
}

// A token of a workflow on GitHub.
func (it *issuer) workflow() string {
	claims := it.times(it.url + "/ci")
	sha := "0123456789abcdef0123456789abcdef01234567"
	workflow := "o/r/.github/workflows/release.yml@refs/heads/main"
	maps.Copy(claims, map[string]any{
		"sub": "repo:o/r:ref:refs/heads/main", "job_workflow_ref": workflow, "job_workflow_sha": sha, "workflow_ref": workflow,
		"workflow_sha": sha, "workflow": "release", "sha": sha, "event_name": "push", "repository": "o/r", "ref": "refs/heads/main",
		"runner_environment": "github-hosted", "repository_id": "4711", "repository_owner": "o", "repository_owner_id": "42",
		"repository_visibility": "public", "run_id": "1", "run_attempt": "1",
	})
	return it.sign(claims)
}

// GET /mint?email=E&for=SECONDS, or /mint?workflow=1: a token as plain text.
func (it *issuer) mint(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("workflow") {
		w.Write([]byte(it.workflow()))
		return
	}
	w.Write([]byte(it.person(r.URL.Query().Get("email"), "")))
}

// What a runner of GitHub Actions asks its token of.
func (it *issuer) actions(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer runner" || r.URL.Query().Get("audience") != "sigstore" {
		reply(w, 403, map[string]any{"message": "no"})
		return
	}
	reply(w, 200, map[string]any{"value": it.workflow()})
}

func (it *issuer) log(what string, form url.Values) {
	file := must(os.OpenFile(filepath.Join(it.folder, "issuer.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))
	defer file.Close()
	file.WriteString(what + " " + form.Encode() + "\n")
}

func (it *issuer) remember(form url.Values) string {
	random := make([]byte, 16)
	must(rand.Read(random))
	code := hex.EncodeToString(random)
	it.mutex.Lock()
	defer it.mutex.Unlock()
	it.codes[code] = form
	return code
}

// The authorization endpoint: whoever comes is sent back with a code, or is shown it.
func (it *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	form := r.URL.Query()
	it.log("authorize", form)
	if form.Get("client_id") != "sigstore" || form.Get("code_challenge_method") != "S256" || form.Get("state") == "" {
		http.Error(w, "not so", 400)
		return
	}
	code := it.remember(form)
	redirect := must(url.Parse(form.Get("redirect_uri")))
	if form.Get("redirect_uri") == "urn:ietf:wg:oauth:2.0:oob" {
		w.Write([]byte(code))
		return
	}
	query := redirect.Query()
	query.Set("code", code)
	query.Set("state", form.Get("state"))
	redirect.RawQuery = query.Encode()
	http.Redirect(w, r, redirect.String(), http.StatusSeeOther)
}

// The device endpoint: let in at the second time of asking.
func (it *issuer) device(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	it.log("device", r.PostForm)
	form := maps.Clone(r.PostForm)
	code := it.remember(form)
	reply(w, 200, map[string]any{
		"device_code": code, "user_code": "BEDX-BEDX", "verification_uri": it.url + "/activate",
		"verification_uri_complete": it.url + "/activate?user_code=BEDX-BEDX", "expires_in": 60, "interval": 1,
	})
}

func (it *issuer) token(w http.ResponseWriter, r *http.Request) {
	r.ParseForm()
	form := r.PostForm
	it.log("token", form)
	refuse := func(why string) { reply(w, 400, map[string]any{"error": why}) }
	if secret, err := os.ReadFile(filepath.Join(it.folder, "client-secret")); err == nil {
		_, given, basic := r.BasicAuth()
		if form.Get("client_secret") != string(secret) && !(basic && given == string(secret)) {
			refuse("invalid_client")
			return
		}
	}
	name := form.Get("code")
	if form.Get("grant_type") == "urn:ietf:params:oauth:grant-type:device_code" {
		name = form.Get("device_code")
	}
	it.mutex.Lock()
	defer it.mutex.Unlock()
	asked, known := it.codes[name]
	if !known {
		refuse("invalid_grant")
		return
	}
	if form.Get("grant_type") == "urn:ietf:params:oauth:grant-type:device_code" {
		if !asked.Has("seen") {
			asked.Set("seen", "1")
			refuse("authorization_pending")
			return
		}
	}
	if challenge := asked.Get("code_challenge"); challenge != "" {
		digest := sha256.Sum256([]byte(form.Get("code_verifier")))
		if encoded(digest[:]) != challenge {
			refuse("invalid_grant")
			return
		}
	}
	delete(it.codes, name)
	reply(w, 200, map[string]any{
		"access_token": "unused", "token_type": "Bearer", "expires_in": 600, "id_token": it.person("", asked.Get("nonce")),
	})
}
