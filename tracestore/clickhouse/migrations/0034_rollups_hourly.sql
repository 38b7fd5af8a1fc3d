-- The same by hour: each hour is the sum of its minutes, computed again whenever one of them was. Read with FINAL.
CREATE TABLE rollups_hourly AS rollups
ENGINE = ReplacingMergeTree(computed_at)
PARTITION BY toYYYYMM(bucket_start)
ORDER BY (project_id, dimension, bucket_start, service, version, environment, value)
