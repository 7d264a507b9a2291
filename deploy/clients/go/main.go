// Command client asks a tallyd sidecar whether a company may use a feature, and counts it; for a
// seat, or to have more in use of a level.
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
	"google.golang.org/protobuf/types/known/durationpb"

	pb "tallyd.example/client/gen/sidecar/api/enforcement/v1"
)

// Retries are safe because every call has an idempotency key, or a holder, who has one seat however
// often it is asked for: gRPC sends the same request again, and what was counted already is answered
// again, not counted again. A call that comes while the sidecar restarts waits for it, until its
// deadline.
const serviceConfig = `{"methodConfig": [{
	"name": [
		{"service": "sidecar.api.enforcement.v1.EnforcementService", "method": "CheckAndIncrement"},
		{"service": "sidecar.api.enforcement.v1.EnforcementService", "method": "AcquireSeat"},
		{"service": "sidecar.api.enforcement.v1.EnforcementService", "method": "AdjustLevel"}
	],
	"waitForReady": true,
	"retryPolicy": {
		"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]
	}
}]}`

const usage = `usage: client COMPANY FEATURE QUANTITY IDEMPOTENCY_KEY
       client --seat COMPANY FEATURE HOLDER
       client --level COMPANY FEATURE AMOUNT ITEM`

func main() {
	ask, arguments := check, os.Args[1:]
	if len(arguments) > 0 {
		if other, ok := map[string]question{"--seat": seat, "--level": level}[arguments[0]]; ok {
			ask, arguments = other, arguments[1:]
		}
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
	told, err := ask(ctx, pb.NewEnforcementServiceClient(connection), arguments)
	if err != nil {
		fail("%s", explain(err))
	}
	fmt.Println(told)
}

// question asks a sidecar, and tells its answer.
type question func(context.Context, pb.EnforcementServiceClient, []string) (string, error)

func check(ctx context.Context, sidecar pb.EnforcementServiceClient, words []string) (string, error) {
	require(words, 4)
	quantity := integer("QUANTITY", words[2])
	response, err := sidecar.CheckAndIncrement(ctx, &pb.CheckAndIncrementRequest{
		Company: words[0], Feature: words[1], Quantity: &quantity, IdempotencyKey: words[3],
	})
	granted := fmt.Sprintf("granted %d", response.GetDecision().GetGranted())
	return describe(response.GetDecision(), granted) + replayed(response), err
}

func seat(ctx context.Context, sidecar pb.EnforcementServiceClient, words []string) (string, error) {
	require(words, 3)
	response, err := sidecar.AcquireSeat(ctx, &pb.AcquireSeatRequest{
		Company: words[0], Feature: words[1], Holder: words[2],
	})
	assigned := fmt.Sprintf("assigned %t", response.GetAssigned())
	return describe(response.GetDecision(), assigned), err
}

func level(ctx context.Context, sidecar pb.EnforcementServiceClient, words []string) (string, error) {
	require(words, 4)
	amount := integer("AMOUNT", words[2])
	response, err := sidecar.AdjustLevel(ctx, &pb.AdjustLevelRequest{
		Company: words[0], Feature: words[1], Amount: amount, Item: words[3],
		TimeToLive:     durationpb.New(time.Hour), // so that it comes back, should the job be killed
		IdempotencyKey: fmt.Sprintf("%s %+d", words[3], amount),
	})
	changed := fmt.Sprintf("changed %d", response.GetChanged())
	return describe(response.GetDecision(), changed) + replayed(response), err
}

func require(words []string, count int) {
	if len(words) != count {
		fail(usage)
	}
}

func integer(name, text string) int64 {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fail("%s: %v", name, err)
	}
	return number
}

// replayed tells whether an answer is an earlier one; of a denial there is none.
func replayed(response interface {
	GetDecision() *pb.Decision
	GetReplayed() bool
}) string {
	if !response.GetDecision().GetAllowed() {
		return ""
	}
	return fmt.Sprintf(", replayed %t", response.GetReplayed())
}

// describe tells a decision, with what was done where it is allowed; a denial is one, not an error.
func describe(decision *pb.Decision, done string) string {
	remaining := "unlimited"
	if limit := decision.GetBindingLimit(); limit != nil && limit.Remaining != nil {
		remaining = strconv.FormatInt(limit.GetRemaining(), 10)
	}
	if decision.GetAllowed() {
		return fmt.Sprintf("allowed: %s, remaining %s", done, remaining)
	}
	if decision.GetRetryAfter() == nil {
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
