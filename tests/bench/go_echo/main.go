// Command go_echo is the benchmark's second yardstick: what grpc-go costs with nothing behind it.
//
// It serves /bench.Echo/Call, which returns the request's bytes, on a Unix socket and on a free
// loopback port, prints one line of JSON with that port, and ends on SIGTERM or SIGINT.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
)

type rawCodec struct{} // messages stay bytes, as in the other echo

func (rawCodec) Marshal(message any) ([]byte, error)      { return *message.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, message any) error { *message.(*[]byte) = data; return nil }
func (rawCodec) Name() string                             { return "raw" }

func call(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	message := new([]byte)
	return message, decode(message)
}

func listen(network, address string) net.Listener {
	listener, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

func main() {
	path := flag.String("socket", "", "path of the Unix socket")
	flag.Parse()
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}))
	echo := grpc.MethodDesc{MethodName: "Call", Handler: call}
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "bench.Echo", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{echo}}, nil)
	tcp := listen("tcp", "127.0.0.1:0")
	for _, listener := range []net.Listener{listen("unix", *path), tcp} {
		go func() { log.Fatal(server.Serve(listener)) }()
	}
	fmt.Printf("{\"event\": \"ready\", \"port\": %d}\n", tcp.Addr().(*net.TCPAddr).Port)
	<-stopped.Done()
}

