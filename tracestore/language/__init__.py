"""The query language of list, API and alert rule: text -> tree. docs/query-language.md is its manual."""

from tracestore.language.edit import (
    add_condition,
    add_filter,
    format_filter,
    format_presence,
    has_filter,
    join_queries,
    remove_filter,
    without_field,
)
from tracestore.language.errors import QueryError
from tracestore.language.parser import parse_log_query, parse_query
from tracestore.language.tree import Query

__all__ = [
    "Query", "QueryError", "add_condition", "add_filter", "format_filter", "format_presence", "has_filter", "join_queries",
    "parse_log_query", "parse_query", "remove_filter", "without_field",
]  # fmt: skip
