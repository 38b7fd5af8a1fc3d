-- Why an agent handed over to another, as escalation_reasons for people. Traces that were summarised before have none until
-- `manage.py reprice`.
ALTER TABLE traces ADD COLUMN IF NOT EXISTS handoff_reasons Array(LowCardinality(String)) AFTER handed_over
