// Command client asks a tallyd sidecar whether a company may use a feature, and counts it.
package main

//go:generate buf generate

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "tallyd.example/client/gen/sidecar/api/enforcement/v1"
)

// Retries are safe because every call has an idempotency key: gRPC sends the same request again,
// and what was counted already is answered again, not counted again. A call that comes while the
// sidecar restarts waits for it, until its deadline.
const serviceConfig = `{"methodConfig": [{
	"name": [{"service": "sidecar.api.enforcement.v1.EnforcementService", "method": "CheckAndIncrement"}],
	"waitForReady": true,
	"retryPolicy": {
		"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

func main() {
	if len(os.Args) != 5 {
		fail("usage: client COMPANY FEATURE QUANTITY IDEMPOTENCY_KEY")
	}
	quantity, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err != nil {
		fail("QUANTITY: %v", err)
	}
	address := os.Getenv("TALLYD_SIDECAR")
	if address == "" {
		address = "unix:/run/tallyd/sidecar.sock"
	}
	// One connection is enough for a process. Nothing is encrypted, since nothing leaves the machine.
	connection, err := grpc.NewClient(address, grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fail("%s: %v", address, err)
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := pb.NewEnforcementServiceClient(connection).CheckAndIncrement(ctx,
		&pb.CheckAndIncrementRequest{
			Company: os.Args[1], Feature: os.Args[2], Quantity: &quantity, IdempotencyKey: os.Args[4],
		})
	if err != nil {
		fail("%s", explain(err))
	}
	fmt.Println(describe(response))
}

// describe tells an answer; a denial is one, not an error.
func describe(response *pb.CheckAndIncrementResponse) string {
	decision, remaining := response.GetDecision(), "unlimited"
	if limit := decision.GetBindingLimit(); limit != nil && limit.Remaining != nil {
		remaining = strconv.FormatInt(limit.GetRemaining(), 10)
	}
	if decision.GetAllowed() {
		return fmt.Sprintf("allowed: granted %d, remaining %s, replayed %t",
			decision.GetGranted(), remaining, response.GetReplayed())
	}
	if decision.RetryAfter == nil {
		return fmt.Sprintf("denied: %s", decision.GetReason())
	}
	return fmt.Sprintf("denied: %s, remaining %s, retry after %d s",
		decision.GetReason(), remaining, decision.GetRetryAfter().GetSeconds())
}

// explain tells a failed call: the status, and reason and field where the sidecar named them.
func explain(err error) string {
	failed := status.Convert(err)
	text := fmt.Sprintf("error: %s: %s", failed.Code(), failed.Message())
	for _, detail := range failed.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			text += fmt.Sprintf(" (reason %s, field %s)", info.GetReason(), info.GetMetadata()["field"])
		}
	}
	return text
}

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(2)
}
