-- What metrics of calls are computed from: errors and hand-offs, and the durations of steps and calls by kind, tool and model as
-- numbers of buckets (tracestore/buckets.py). Traces that were summarised before have none of the latter until `manage.py reprice`.
ALTER TABLE traces
    ADD COLUMN IF NOT EXISTS handed_over Bool AFTER escalated,
    ADD COLUMN IF NOT EXISTS escalation_reasons Array(LowCardinality(String)) AFTER handed_over,
    ADD COLUMN IF NOT EXISTS llm_errors UInt32 DEFAULT toUInt32(arraySum(`models.errors`)) CODEC(T64, ZSTD(1)) AFTER llm_calls,
    ADD COLUMN IF NOT EXISTS unpriced_calls UInt32 DEFAULT toUInt32(length(unpriced_models)) CODEC(T64, ZSTD(1)) AFTER unpriced_models,
    ADD COLUMN IF NOT EXISTS `tools.durations` Array(Array(UInt16)) AFTER `tools.errors`,
    ADD COLUMN IF NOT EXISTS `models.durations` Array(Array(UInt16)) AFTER `models.errors`,
    ADD COLUMN IF NOT EXISTS `models.first_tokens` Array(Array(UInt16)) AFTER `models.durations`,
    ADD COLUMN IF NOT EXISTS `steps.kind` Array(LowCardinality(String)) AFTER `models.cost_difference_usd`,
    ADD COLUMN IF NOT EXISTS `steps.durations` Array(Array(UInt16)) AFTER `steps.kind`
