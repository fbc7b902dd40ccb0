package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

type http3Options struct {
	listen, cert, key, root string

	address, cacert, output, post, priority, websocket string
	paths                                              []string
	trailers                                           bool
}

func parseHTTP3(arguments []string) http3Options {
	var o http3Options
	flags := flag.NewFlagSet("quic-go-peer", flag.ExitOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the server")
	flags.StringVar(&o.cert, "cert", "", "certificate chain of the server")
	flags.StringVar(&o.key, "key", "", "private key of the server")
	flags.StringVar(&o.root, "root", ".", "folder that is served")
	flags.StringVar(&o.cacert, "cacert", "", "certificate authority of the server")
	flags.StringVar(&o.output, "output", ".", "folder of the answers' bodies, named as the last parts of the paths")
	flags.StringVar(&o.post, "post", "", "file to send")
	flags.StringVar(&o.priority, "priority", "", "of the requests (RFC 9218)")
	flags.StringVar(&o.websocket, "websocket", "", "path of a WebSocket that echoes")
	flags.BoolVar(&o.trailers, "trailers", false, "send trailers with the file")
	flags.Func("path", "to request; all at once", func(path string) error {
		o.paths = append(o.paths, path)
		return nil
	})
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		o.address, arguments = arguments[0], arguments[1:]
	}
	_ = flags.Parse(arguments) // ExitOnError: it does not return one
	return o
}

func serveHTTP3(o http3Options) error {
	certificate, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return err
	}
	secrets, err := keyLog()
	if err != nil {
		return err
	}
	handler := http.NewServeMux()
	handler.HandleFunc("/echo", echoHTTP)
	handler.HandleFunc("/ws", echoWebSocket)
	handler.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { serveHTTPFile(w, r, o.root) })
	server := http3.Server{
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}, KeyLogWriter: secrets}),
		Handler:   handler,
	}
	listener, err := quic.ListenAddrEarly(o.listen, server.TLSConfig, &quic.Config{MaxIdleTimeout: 30 * time.Second})
	if err != nil {
		return err
	}
	fmt.Println("listening on", listener.Addr())
	return server.ServeListener(listener)
}

func serveHTTPFile(w http.ResponseWriter, r *http.Request, root string) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	if !filepath.IsLocal(path) {
		http.NotFound(w, r)
		return
	}
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("content-length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}

// echoHTTP gives the body back as it comes, and then the trailers.
func echoHTTP(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(w, r.Body); err != nil {
		fmt.Println("echo", err)
		panic(http.ErrAbortHandler)
	}
	for name, values := range r.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}

func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || r.Proto != "websocket" || r.Header.Get("sec-websocket-version") != "13" {
		http.Error(w, "not a WebSocket", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
	stream, err := w.(http3.HTTPStreamer).HTTPStream()
	if err != nil {
		fmt.Println("websocket", err)
		return
	}
	defer stream.Close()
	for {
		kind, message, err := readFrame(stream)
		if err == nil {
			err = writeFrame(stream, kind, message, false)
		}
		if err != nil || kind == closeFrame {
			return
		}
	}
}

func fetchHTTP3(o http3Options) error {
	authority, err := os.ReadFile(o.cacert)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return errors.New("no certificate in --cacert")
	}
	secrets, err := keyLog()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	settings := &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{http3.NextProtoH3}, KeyLogWriter: secrets}
	connection, err := quic.DialAddr(ctx, o.address, settings, &quic.Config{MaxIdleTimeout: 30 * time.Second})
	if err != nil {
		return err
	}
	transport := http3.Transport{DisableCompression: true}
	client := transport.NewClientConn(connection)
	origin := "https://localhost" + o.address[strings.LastIndex(o.address, ":"):]
	if o.websocket != "" {
		err = talk(ctx, client, origin+o.websocket)
	} else {
		err = requestAll(ctx, client, origin, o)
	}
	if err != nil {
		return err
	}
	return client.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

func requestAll(ctx context.Context, client *http3.ClientConn, origin string, o http3Options) error {
	results := make(chan error, len(o.paths))
	for number, path := range o.paths {
		go func() { results <- request(ctx, client, origin+path, number, o) }()
	}
	for range o.paths {
		if err := <-results; err != nil {
			return err
		}
	}
	return nil
}

func request(ctx context.Context, client *http3.ClientConn, address string, number int, o http3Options) error {
	method, body := http.MethodGet, io.Reader(nil)
	if o.post != "" {
		data, err := os.ReadFile(o.post)
		if err != nil {
			return err
		}
		method, body = http.MethodPost, bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	if o.trailers {
		request.ContentLength = -1
		request.Trailer = http.Header{"X-Interop": {"forty-two"}}
	}
	if o.priority != "" {
		request.Header.Set("priority", o.priority)
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	lines := fmt.Sprintf("answer %d status=%d bytes=%d\n", number, response.StatusCode, len(data))
	names := make([]string, 0, len(response.Trailer))
	for name := range response.Trailer {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		lines += fmt.Sprintf("trailer %s=%s\n", strings.ToLower(name), response.Trailer.Get(name))
	}
	fmt.Print(lines)
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return os.WriteFile(filepath.Join(o.output, filepath.Base(request.URL.Path)), data, 0o644)
}

// talk sends messages of several kinds and awaits each; then an orderly close (RFC 6455, section 7).
func talk(ctx context.Context, client *http3.ClientConn, address string) error {
	select {
	case <-client.ReceivedSettings():
	case <-ctx.Done():
		return ctx.Err()
	}
	if !client.Settings().EnableExtendedConnect {
		return errors.New("the server does not permit extended CONNECT")
	}
	stream, err := client.OpenRequestStream(ctx)
	if err != nil {
		return err
	}
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	err = stream.SendRequestHeader(&http.Request{
		Method: http.MethodConnect,
		Proto:  "websocket",
		Host:   target.Host,
		URL:    target,
		Header: http.Header{"Sec-Websocket-Version": {"13"}, "Origin": {"https://localhost"}},
	})
	if err != nil {
		return err
	}
	response, err := stream.ReadResponse()
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	messages := [][]byte{[]byte("one"), []byte("zwei, höflich"), {}, bytes.Repeat([]byte{0, 1, 2, 255}, 20_000), []byte("the last")}
	for number, message := range messages {
		kind := textFrame + number%2
		if err := writeFrame(stream, kind, message, true); err != nil {
			return err
		}
		answered, back, err := readFrame(stream)
		if err != nil {
			return err
		}
		if answered != kind || !bytes.Equal(back, message) {
			return fmt.Errorf("message %d came back changed", number)
		}
	}
	if err := writeFrame(stream, closeFrame, []byte("\x03\xe8bye"), true); err != nil {
		return err
	}
	kind, message, err := readFrame(stream)
	if err != nil {
		return err
	}
	if kind != closeFrame || len(message) < 2 {
		return fmt.Errorf("not a close but a frame of kind %d", kind)
	}
	// After its close, a server ends the stream.
	if _, err := stream.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the close, not the end but %w", err)
	}
	if err := stream.Close(); err != nil {
		return err
	}
	fmt.Printf("websocket messages=%d closed=%d\n", len(messages), int(message[0])<<8|int(message[1]))
	return nil
}
