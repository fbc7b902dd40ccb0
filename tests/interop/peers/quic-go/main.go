// A quic-go peer for the interoperability runs: an echo and hq-interop server, an HTTP/3 server, and clients for each case.
//
// Prints one line for what happened; exit code 0 means that it was what the flags asked for.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
)

// The same reset key in each run, so that a server which comes back can send stateless resets.
var resetKey = quic.StatelessResetKey{'q', 'u', 'i', 'c', 'a', 's', 't'}

type options struct {
	address string

	listen, cert, key, root string
	retry                   bool
	maxStreams              int64

	cacert, get, output, close, closeRequest  string
	bytes, streams, unidirectional, datagrams int
	rebind, keyUpdate                         bool
	offerVersion, waitForReset                string
}

func parse(arguments []string) options {
	var o options
	flags := flag.NewFlagSet("quic-go-peer", flag.ExitOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the server")
	flags.StringVar(&o.cert, "cert", "", "certificate chain of the server")
	flags.StringVar(&o.key, "key", "", "private key of the server")
	flags.StringVar(&o.root, "root", ".", "folder served with hq-interop")
	flags.BoolVar(&o.retry, "retry", false, "validate each address with a Retry packet")
	flags.Int64Var(&o.maxStreams, "max-streams", 100, "bidirectional streams permitted at a time")
	flags.StringVar(&o.cacert, "cacert", "", "certificate authority of the server")
	flags.StringVar(&o.get, "get", "", "path to download with hq-interop")
	flags.StringVar(&o.output, "output", "", "where the download goes")
	flags.StringVar(&o.close, "close", "0 done", "code and reason of the client's close")
	flags.StringVar(&o.closeRequest, "close-request", "", "code and reason the server is asked to close with")
	flags.IntVar(&o.bytes, "bytes", 1000, "bytes on each stream, or in each datagram")
	flags.IntVar(&o.streams, "streams", 1, "bidirectional streams")
	flags.IntVar(&o.unidirectional, "unidirectional", 0, "unidirectional streams instead")
	flags.IntVar(&o.datagrams, "datagrams", 0, "datagrams instead")
	flags.BoolVar(&o.rebind, "rebind", false, "go to another port once bytes have come back")
	flags.BoolVar(&o.keyUpdate, "key-update", false, "quic-go updates its keys by itself after 100 packets")
	flags.StringVar(&o.offerVersion, "offer-version", "", "start with QUIC version 2, whatever is given here")
	flags.StringVar(&o.waitForReset, "wait-for-reset", "", "echo until a stateless reset arrives")
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		o.address, arguments = arguments[0], arguments[1:]
	}
	_ = flags.Parse(arguments) // ExitOnError: it does not return one
	return o
}

func main() {
	err := errors.New("usage: quic-go-peer server|client|h3-server|h3-client [HOST:PORT] [--flags]")
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "server":
			err = serve(parse(os.Args[2:]))
		case "client":
			err = connect(parse(os.Args[2:]))
		case "h3-server":
			err = serveHTTP3(parseHTTP3(os.Args[2:]))
		case "h3-client":
			err = fetchHTTP3(parseHTTP3(os.Args[2:]))
		}
	}
	if err != nil {
		fmt.Println("failed", describe(err))
		os.Exit(1)
	}
}

// describe prints `closed CODE REASON` for an application close.
func describe(err error) string {
	var closed *quic.ApplicationError
	var reset *quic.StatelessResetError
	switch {
	case errors.As(err, &closed) && closed.Remote:
		return fmt.Sprintf("closed %d %s", closed.ErrorCode, closed.ErrorMessage)
	case errors.As(err, &reset):
		return "stateless reset"
	}
	return "lost " + err.Error()
}

// codeAndReason splits "42 bye".
func codeAndReason(text string) (quic.ApplicationErrorCode, string, error) {
	code, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
	number, err := strconv.ParseUint(code, 10, 62)
	return quic.ApplicationErrorCode(number), reason, err
}

func config(o options) *quic.Config {
	return &quic.Config{
		EnableDatagrams:    true,
		MaxIncomingStreams: o.maxStreams,
		MaxIdleTimeout:     30 * time.Second,
	}
}

// keyLog is where SSLKEYLOGFILE wants the secrets.
func keyLog() (*os.File, error) {
	path := os.Getenv("SSLKEYLOGFILE")
	if path == "" {
		path = os.DevNull
	}
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}
