// node send.mjs PROTOCOL URL TRACES SPANS_A_TRACE none|gzip TIMEOUT_MS: sends traces with the real exporter of http/json,
// http/protobuf or grpc. Ends with status 1 when the exporter reports a batch as failed.
import { context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter as GrpcExporter } from "@opentelemetry/exporter-trace-otlp-grpc";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [protocol, url, traces, spansATrace, compression, timeoutMillis] = process.argv.slice(2);
const Exporter = { "http/json": JsonExporter, "http/protobuf": ProtobufExporter, grpc: GrpcExporter }[protocol];
const exporter = new Exporter({ url, compression, timeoutMillis: Number(timeoutMillis) });
const failures = [];
const send = exporter.export.bind(exporter);
exporter.export = (spans, done) => send(spans, (result) => {
  if (result.code !== 0) failures.push(result.error);
  done(result);
});
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "node" }),
  spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: 100000, scheduledDelayMillis: 60000, exportTimeoutMillis: 60000 })],
});
const tracer = provider.getTracer("test");
for (let index = 0; index < Number(traces); index++) {
  const root = tracer.startSpan("invoke_agent");
  const inside = trace.setSpan(context.active(), root);
  for (let step = 0; step < Number(spansATrace) - 1; step++) {
    tracer.startSpan("chat", { attributes: { step, ratio: 0.5, deep: ["a", "b"], cut: "half \ud83d" } }, inside).end();
  }
  root.end();
}
// Both reject when a batch failed, which is noted above.
await provider.forceFlush().catch(() => {});
await provider.shutdown().catch(() => {});
if (failures.length) {
  console.error(failures);
  process.exit(1);
}
