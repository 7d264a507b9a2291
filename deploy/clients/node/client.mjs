// Asks a tallyd sidecar whether a company may use a feature, and counts it; for a seat, or to have
// more in use of a level.
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

// Retries are safe because every call has an idempotency key, or a holder, who has one seat however
// often it is asked for: gRPC sends the same request again, and what was counted already is answered
// again, not counted again.
const serviceConfig = {
  methodConfig: [
    {
      name: ["CheckAndIncrement", "AcquireSeat", "AdjustLevel"].map((method) => ({
        service: SERVICE,
        method,
      })),
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

// Tells an answer, with what was done where it is allowed; a denial is one, not an error.
function describe({ decision, replayed }, done) {
  const remaining = decision.bindingLimit?.remaining ?? "unlimited";
  if (decision.allowed) {
    const again = replayed === undefined ? "" : `, replayed ${replayed}`;
    return `allowed: ${done}, remaining ${remaining}${again}`;
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

// What is no 64-bit integer would be sent as another number.
const isInt64 = (text) => /^-?\d+$/.test(text) && `${BigInt.asIntN(64, BigInt(text))}` === text;

const words = process.argv.slice(2);
const what = words[0]?.startsWith("--") ? words.shift() : "--check";
const [company, feature, third, fourth] = words;
const counts = what === "--check" || what === "--level";
const isRight = counts ? isInt64(third) && fourth : what === "--seat" && third;
if (!isRight) {
  console.error(`usage: node client.mjs COMPANY FEATURE QUANTITY IDEMPOTENCY_KEY
       node client.mjs --seat COMPANY FEATURE HOLDER
       node client.mjs --level COMPANY FEATURE AMOUNT ITEM`);
  process.exit(2);
}
const address = process.env.TALLYD_SIDECAR || "unix:/run/tallyd/sidecar.sock";
// One client is enough for a process. Nothing is encrypted, since nothing leaves the machine.
const client = new EnforcementService(address, grpc.credentials.createInsecure(), {
  "grpc.service_config": JSON.stringify(serviceConfig),
});
const call = (method, request) =>
  promisify(client[method]).bind(client)(request, waiting, { deadline: Date.now() + 5000 });

async function check(quantity, idempotencyKey) {
  const request = { company, feature, quantity, idempotencyKey };
  const answer = await call("checkAndIncrement", request);
  return describe(answer, `granted ${answer.decision.granted}`);
}

async function seat(holder) {
  const answer = await call("acquireSeat", { company, feature, holder });
  return describe(answer, `assigned ${answer.assigned}`);
}

async function level(amount, item) {
  const timeToLive = { seconds: 3600 }; // so that it comes back, should the job be killed
  const idempotencyKey = `${item} ${amount}`;
  const request = { company, feature, amount, item, timeToLive, idempotencyKey };
  const answer = await call("adjustLevel", request);
  return describe(answer, `changed ${answer.changed}`);
}

// A call that comes while the sidecar restarts waits for it, until its deadline.
const waiting = new grpc.Metadata({ waitForReady: true });
try {
  const ask = { "--check": check, "--seat": seat, "--level": level }[what];
  console.log(await ask(third, fourth));
} catch (error) {
  console.error(explain(error));
  process.exitCode = 2;
} finally {
  client.close();
}
