-- Which tier a model call was served in, by the provider's word ("flex", "priority", "batch"); "" when nobody says. Prices differ.
ALTER TABLE spans ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String) AFTER finish_reason
