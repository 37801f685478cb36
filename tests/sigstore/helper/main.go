// What the bed needs beside the real servers: keys, an OpenID issuer, a trusted root, a TUF repository.
//
//	helper keys FOLDER            keys and the certificate authority of Fulcio
//	helper serve FOLDER ADDRESS   the issuer under /, the TUF repository under /tuf/
//	helper fetch URL              what is there, to standard output
//	helper trust FOLDER           trusted root, signing configuration, TUF repository, once the TSA runs
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: helper keys|serve|trust FOLDER …"))
	}
	switch os.Args[1] {
	case "keys":
		makeKeys(os.Args[2])
	case "serve":
		serve(os.Args[2], os.Args[3])
	case "fetch":
		response := must(http.Get(os.Args[2]))
		if response.StatusCode != http.StatusOK {
			fail(fmt.Errorf("%s: %s", os.Args[2], response.Status))
		}
		must(io.Copy(os.Stdout, response.Body))
	case "trust":
		trust(os.Args[2])
	default:
		fail(fmt.Errorf("unknown: %s", os.Args[1]))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "helper:", err)
	os.Exit(1)
}

func must[T any](value T, err error) T {
	if err != nil {
		fail(err)
	}
	return value
}

func write(path string, data []byte) {
	if err := os.WriteFile(path, data, 0o600); err != nil {
		fail(err)
	}
}
