package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"time"
)

// The servers want their keys encrypted; the password is no secret.
const password = "x"

func makeKeys(folder string) {
	ca := newP256()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{Organization: []string{"bed"}, CommonName: "bed-root"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            1,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, ca.Public(), ca))
	write(filepath.Join(folder, "ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	writeEncrypted(filepath.Join(folder, "ca.key"), ca)

	ct := newP256()
	writeEncrypted(filepath.Join(folder, "ct.key"), ct)
	writePublic(filepath.Join(folder, "ct.pub"), ct.Public())

	rekor := newP256()
	writePkcs8(filepath.Join(folder, "rekor.key"), rekor)
	writePublic(filepath.Join(folder, "rekor.pub"), rekor.Public())

	public, tiles := must2(ed25519.GenerateKey(rand.Reader))
	writePkcs8(filepath.Join(folder, "tiles.key"), tiles)
	writePublic(filepath.Join(folder, "tiles.pub"), public)

	writePkcs8(filepath.Join(folder, "issuer.key"), must(rsa.GenerateKey(rand.Reader, 2048)))
}

func newP256() *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		fail(err)
	}
	return a, b
}

func writeEncrypted(path string, key *ecdsa.PrivateKey) {
	der := must(x509.MarshalECPrivateKey(key))
	//nolint:staticcheck // what the servers read
	block := must(x509.EncryptPEMBlock(rand.Reader, "EC PRIVATE KEY", der, []byte(password), x509.PEMCipherAES256))
	write(path, pem.EncodeToMemory(block))
}

func writePkcs8(path string, key crypto.PrivateKey) {
	der := must(x509.MarshalPKCS8PrivateKey(key))
	write(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func writePublic(path string, key crypto.PublicKey) {
	der := must(x509.MarshalPKIXPublicKey(key))
	write(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}
