-- How many spans of a trace arrived, copies included: a merge of `spans` leaves none of those. 0 for what arrived earlier.
ALTER TABLE trace_index ADD COLUMN IF NOT EXISTS received_spans SimpleAggregateFunction(sum, UInt64)
