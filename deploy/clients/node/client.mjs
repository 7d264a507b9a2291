// Asks a tallyd sidecar whether a company may use a feature, and counts it.
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const SERVICE = "sidecar.api.enforcement.v1.EnforcementService";

// Quantities reach 2^63-1, more than a number holds exactly: they come and go as strings.
const { EnforcementService } = grpc.loadPackageDefinition(
  protoLoader.loadSync("sidecar/api/enforcement/v1/enforcement.proto", {
    includeDirs: [fileURLToPath(new URL("../../../proto", import.meta.url))],
    longs: String,
    enums: String,
    defaults: true,
  }),
).sidecar.api.enforcement.v1;

// What google/rpc/status.proto and error_details.proto say, as far as it is needed here.
const string = (id) => ({ type: "string", id });
const errors = protoLoader.fromJSON({
  nested: {
    Any: { fields: { typeUrl: string(1), value: { type: "bytes", id: 2 } } },
    Status: { fields: { details: { rule: "repeated", type: "Any", id: 3 } } },
    ErrorInfo: { fields: { reason: string(1), metadata: { keyType: "string", ...string(3) } } },
  },
});

// Retries are safe because every call has an idempotency key: gRPC sends the same request again,
// and what was counted already is answered again, not counted again.
const serviceConfig = {
  methodConfig: [
    {
      name: [{ service: SERVICE, method: "CheckAndIncrement" }],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.05s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

// Tells an answer; a denial is one, not an error.
function describe({ decision, replayed }) {
  const remaining = decision.bindingLimit?.remaining ?? "unlimited";
  if (decision.allowed) {
    return `allowed: granted ${decision.granted}, remaining ${remaining}, replayed ${replayed}`;
  }
  if (!decision.retryAfter) return `denied: ${decision.reason}`;
  const wait = `retry after ${decision.retryAfter.seconds} s`;
  return `denied: ${decision.reason}, remaining ${remaining}, ${wait}`;
}

// Tells a failed call: the status, and reason and field where the sidecar named them.
function explain(error) {
  let text = `error: ${grpc.status[error.code]}: ${error.details}`;
  const [bytes] = error.metadata.get("grpc-status-details-bin");
  for (const detail of bytes ? errors.Status.deserialize(bytes).details : []) {
    if (!detail.typeUrl.endsWith("/google.rpc.ErrorInfo")) continue;
    const { reason, metadata } = errors.ErrorInfo.deserialize(detail.value);
    text += ` (reason ${reason}, field ${metadata.field})`;
  }
  return text;
}

const [company, feature, quantity, idempotencyKey] = process.argv.slice(2);
// What is no 64-bit integer would be sent as another number.
const isInt64 = /^-?\d+$/.test(quantity) && `${BigInt.asIntN(64, BigInt(quantity))}` === quantity;
if (!isInt64 || !idempotencyKey) {
  console.error("usage: node client.mjs COMPANY FEATURE QUANTITY IDEMPOTENCY_KEY");
  process.exit(2);
}
const address = process.env.TALLYD_SIDECAR || "unix:/run/tallyd/sidecar.sock";
// One client is enough for a process. Nothing is encrypted, since nothing leaves the machine.
const client = new EnforcementService(address, grpc.credentials.createInsecure(), {
  "grpc.service_config": JSON.stringify(serviceConfig),
});
const checkAndIncrement = promisify(client.checkAndIncrement).bind(client);
// A call that comes while the sidecar restarts waits for it, until its deadline.
const waiting = new grpc.Metadata({ waitForReady: true });
try {
  const request = { company, feature, quantity, idempotencyKey };
  console.log(describe(await checkAndIncrement(request, waiting, { deadline: Date.now() + 5000 })));
} catch (error) {
  console.error(explain(error));
  process.exitCode = 2;
} finally {
  client.close();
}
