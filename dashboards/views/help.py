"""The page that documents the query language: every example is a link that runs it."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from tracestore.language.examples import SECTIONS
from tracestore.language.fields import FIELDS, LOG_FIELDS
from tracestore.language.parser import MAX_DEPTH, MAX_LENGTH, MAX_RELATIONS, MAX_TERMS
from tracestore.queries.predicates import REACH_DAYS
from tracestore.queries.structure import MAX_LEVELS
from tracestore.web.requests import PageRequest


@require_GET
def query_language(request: PageRequest) -> HttpResponse:
    """Examples by section, fields of traces and of log records, and the rules in short."""
    context = {
        "sections": SECTIONS,
        "fields": FIELDS,
        "log_fields": LOG_FIELDS,
        "limits": {
            "length": MAX_LENGTH, "terms": MAX_TERMS, "depth": MAX_DEPTH, "relations": MAX_RELATIONS, "levels": MAX_LEVELS,
            "reach_days": REACH_DAYS,
        },
    }  # fmt: skip
    return render(request, "dashboards/help_query.html", context)
