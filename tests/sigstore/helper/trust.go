package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

type object = map[string]any

// Reads ca.pem, ct.pub, rekor.pub, tiles.pub, tsa.pem and urls (NAME URL a line); writes trusted_root.json,
// signing_config.json and the TUF repository tuf/.
func trust(folder string) {
	read := func(name string) []byte { return must(os.ReadFile(filepath.Join(folder, name))) }
	urls := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(read("urls"))), "\n") {
		name, url, _ := strings.Cut(line, " ")
		urls[name] = url
	}
	start := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	valid := object{"start": start}
	ed := blocks(read("tiles.pub"))[0]
	raw := ed[len(ed)-32:]
	origin := urls["tiles-origin"]
	tilesID := sha256.Sum256(append([]byte(origin+"\n\x01"), raw...))
	log := func(url string, key []byte, details string, id []byte) object {
		return object{
			"baseUrl": url, "hashAlgorithm": "SHA2_256", "logId": object{"keyId": b64(id)},
			"publicKey": object{"rawBytes": b64(key), "keyDetails": details, "validFor": valid},
		}
	}
	const p256 = "PKIX_ECDSA_P256_SHA_256"
	rekor, ct := blocks(read("rekor.pub"))[0], blocks(read("ct.pub"))[0]
	rekorID, ctID := sha256.Sum256(rekor), sha256.Sum256(ct)
	authority := func(url string, chain []byte) object {
		certificates := []object{}
		for _, der := range blocks(chain) {
			certificates = append(certificates, object{"rawBytes": b64(der)})
		}
		return object{
			"subject": object{"organization": "bed", "commonName": "bed"}, "uri": url,
			"certChain": object{"certificates": certificates}, "validFor": valid,
		}
	}
	root := object{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs": []object{
			log(urls["rekor"], rekor, p256, rekorID[:]),
			log(urls["tiles"], ed, "PKIX_ED25519", tilesID[:]),
		},
		"certificateAuthorities": []object{authority(urls["fulcio"], read("ca.pem"))},
		"ctlogs":                 []object{log(urls["ct"], ct, p256, ctID[:])},
		"timestampAuthorities":   []object{authority(urls["tsa"], read("tsa.pem"))},
	}
	service := func(url string, version int) object {
		return object{"url": url, "majorApiVersion": version, "validFor": valid, "operator": "bed"}
	}
	config := object{
		"mediaType":       "application/vnd.dev.sigstore.signingconfig.v0.2+json",
		"caUrls":          []object{service(urls["fulcio"], 1)},
		"oidcUrls":        []object{service(urls["issuer"], 1)},
		"rekorTlogUrls":   []object{service(urls["tiles"], 2), service(urls["rekor"], 1)},
		"tsaUrls":         []object{service(urls["tsa"]+"/api/v1/timestamp", 1)},
		"rekorTlogConfig": object{"selector": "ANY"},
		"tsaConfig":       object{"selector": "ANY"},
	}
	targets := map[string][]byte{
		"trusted_root.json":        must(json.MarshalIndent(root, "", "  ")),
		"signing_config.v0.2.json": must(json.MarshalIndent(config, "", "  ")),
		"fulcio.crt.pem":           read("ca.pem"),
		"ctfe.pub":                 read("ct.pub"),
		"rekor.pub":                read("rekor.pub"),
	}
	write(filepath.Join(folder, "trusted_root.json"), targets["trusted_root.json"])
	write(filepath.Join(folder, "signing_config.json"), targets["signing_config.v0.2.json"])
	repository(filepath.Join(folder, "tuf"), targets)
}

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func blocks(text []byte) [][]byte {
	var all [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		all = append(all, block.Bytes)
	}
	return all
}

// A TUF repository of four signed files, each role with the same key, snapshots consistent.
func repository(folder string, targets map[string][]byte) {
	key := newP256()
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))}))
	described := object{"keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256", "keyval": object{"public": public}}
	id := hexHash(canonical(described))
	role := object{"keyids": []any{id}, "threshold": 1}
	base := func(kind string) object {
		expires := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second).Format(time.RFC3339)
		return object{"_type": kind, "spec_version": "1.0", "version": 1, "expires": expires}
	}
	signed := func(body object) []byte {
		digest := sha256.Sum256(canonical(body))
		signature := must(ecdsa.SignASN1(rand.Reader, key, digest[:]))
		return must(json.Marshal(object{
			"signed": body, "signatures": []any{object{"keyid": id, "sig": hex.EncodeToString(signature)}},
		}))
	}
	about := func(file []byte) object {
		return object{"version": 1, "length": len(file), "hashes": object{"sha256": hexHash(file)}}
	}
	if err := os.MkdirAll(filepath.Join(folder, "targets"), 0o755); err != nil {
		fail(err)
	}
	root := base("root")
	root["consistent_snapshot"] = true
	root["keys"] = object{id: described}
	root["roles"] = object{"root": role, "targets": role, "snapshot": role, "timestamp": role}
	usage := map[string]string{"fulcio.crt.pem": "Fulcio", "ctfe.pub": "CTFE", "rekor.pub": "Rekor"}
	listed := object{}
	for name, file := range targets {
		entry := object{"length": len(file), "hashes": object{"sha256": hexHash(file)}}
		if use, known := usage[name]; known {
			entry["custom"] = object{"sigstore": object{"usage": use, "status": "Active", "uri": "bed"}}
		}
		listed[name] = entry
		write(filepath.Join(folder, "targets", hexHash(file)+"."+name), file)
	}
	top := base("targets")
	top["targets"] = listed
	topFile := signed(top)
	snapshot := base("snapshot")
	snapshot["meta"] = object{"targets.json": about(topFile)}
	snapshotFile := signed(snapshot)
	timestamp := base("timestamp")
	timestamp["meta"] = object{"snapshot.json": about(snapshotFile)}
	for name, file := range map[string][]byte{
		"1.root.json": signed(root), "1.targets.json": topFile, "1.snapshot.json": snapshotFile, "timestamp.json": signed(timestamp),
	} {
		write(filepath.Join(folder, name), file)
	}
}

func hexHash(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

// OLPC's canonical JSON, over which TUF signs: sorted keys, no blanks, only quotes and backslashes escaped.
func canonical(value any) []byte {
	var out bytes.Buffer
	var put func(any)
	put = func(value any) {
		switch it := value.(type) {
		case object:
			names := make([]string, 0, len(it))
			for name := range it {
				names = append(names, name)
			}
			sort.Strings(names)
			out.WriteByte('{')
			for at, name := range names {
				if at > 0 {
					out.WriteByte(',')
				}
				put(name)
				out.WriteByte(':')
				put(it[name])
			}
			out.WriteByte('}')
		case []any:
			out.WriteByte('[')
			for at, item := range it {
				if at > 0 {
					out.WriteByte(',')
				}
				put(item)
			}
			out.WriteByte(']')
		case string:
			out.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(it) + `"`)
		case int:
			fmt.Fprintf(&out, "%d", it)
		case bool:
			fmt.Fprintf(&out, "%t", it)
		default:
			fail(fmt.Errorf("no canonical form of %T", value))
		}
	}
	put(value)
	return out.Bytes()
}
