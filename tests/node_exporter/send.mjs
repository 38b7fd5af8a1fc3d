// node send.mjs URL TRACES SPANS_A_TRACE none|gzip: sends traces with the real exporter, OTLP/JSON over HTTP.
import { context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [url, traces, spansATrace, compression] = process.argv.slice(2);
const exporter = new OTLPTraceExporter({ url, compression, timeoutMillis: 30000 });
const failures = [];
const send = exporter.export.bind(exporter);
exporter.export = (spans, done) => send(spans, (result) => {
  if (result.code !== 0) failures.push(result.error);
  done(result);
});
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ "service.name": "node" }),
  spanProcessors: [new BatchSpanProcessor(exporter, { maxQueueSize: 100000 })],
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
await provider.forceFlush();
await provider.shutdown();
if (failures.length) {
  console.error(failures);
  process.exit(1);
}
