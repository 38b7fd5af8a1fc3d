"""Every materialized view: raw OTLP -> spans and logs -> the work list and indexes of the jobs and pages."""

from __future__ import annotations

from tracestore.clickhouse.views.intake_view import logs_to_intake, spans_to_intake
from tracestore.clickhouse.views.log_view import otlp_to_logs
from tracestore.clickhouse.views.score_views import logs_to_scores, spans_to_scores
from tracestore.clickhouse.views.span_view import otlp_to_spans


def logs_to_log_index(source: str) -> str:
    """Return the SELECT of log_index from a table expression over `logs`."""
    return (
        "SELECT project_id, trace_id, if(trace_id = toFixedString('', 16), response_id, '') AS response_id, "
        f"min(time) AS min_time, max(time) AS max_time FROM {source} "
        "WHERE trace_id != toFixedString('', 16) OR response_id != '' GROUP BY project_id, trace_id, response_id"
    )


# name -> (target table, SELECT). Created after the migrations, and again whenever their text changes.
def views() -> dict[str, tuple[str, str]]:
    """Return every materialized view: name -> (target table, SELECT statement)."""
    return {
        "otlp_to_spans": ("spans", otlp_to_spans()),
        "otlp_mapped_to_spans": ("spans", otlp_to_spans("otlp_mapped_traces", by_rules=True)),
        "spans_to_trace_touches": (
            "trace_touches",
            "SELECT DISTINCT writer, batch_seq, project_id, trace_id FROM spans",
        ),
        "spans_to_trace_index": (
            "trace_index",
            "SELECT project_id, trace_id, min(start_time) AS min_start_time, max(start_time) AS max_start_time, "
            "count() AS received_spans FROM spans GROUP BY project_id, trace_id",
        ),
        "spans_to_intake": ("intake", spans_to_intake()),
        "spans_to_scores": ("scores", spans_to_scores()),
        "otlp_to_logs": ("logs", otlp_to_logs()),
        "logs_to_log_intake": ("log_intake", logs_to_intake()),
        "logs_to_log_index": (
            "log_index",
            logs_to_log_index("logs"),
        ),
        "logs_to_scores": ("scores", logs_to_scores()),
    }
