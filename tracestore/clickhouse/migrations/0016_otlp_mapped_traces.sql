-- Where the raw OTLP of projects with rules of their own lands (tracestore/mapping.py). Apart from otlp_traces, so that the view of
-- all others need not know of rules: ClickHouse analyses a view anew for every insert.
CREATE TABLE otlp_mapped_traces AS otlp_traces ENGINE = Null
