"""A project's own rules: which attribute, name or tool of a span fills which canonical field (docs/attribute-mapping.md).

The rules travel with each insert into ClickHouse, where the span view applies them (clickhouse/views/lookups.py); nothing here
looks at a span.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable
from functools import cache

import re2
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.db import close_old_connections

from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.models import MappingRule
from tracestore.summary.requests import find_signal

MAX_RULES = 100


def encode_rules(rules: Iterable[MappingRule]) -> str:
    """Return rules, in their order, as the span view reads them (lookups.MAPPING_TYPE); "" for none."""
    fields, tools = [], []
    for rule in rules:
        pattern = _to_regex(rule.pattern)
        if rule.source == MappingRule.Source.TOOL:
            tools.append((pattern, rule.value))
        else:
            fields.append((rule.key, rule.target, pattern, rule.value))
    return json.dumps((fields, tools)) if fields or tools else ""


def _to_regex(pattern: str) -> str:
    """Return a pattern in which * stands for any text as the RE2 expression for a whole text; "" matches everything."""
    if not pattern.strip("*"):
        return "(?s)^.+$"
    return f"(?s)^{'.*'.join(map(re.escape, pattern.split('*')))}$"


def find_mappings(project_ids: Collection[int]) -> dict[int, str]:
    """Return project id -> its encoded rules, for those of the projects that have some. Raises django.db.Error."""
    rules: dict[int, list[MappingRule]] = {}
    for rule in MappingRule.objects.filter(project_id__in=project_ids).order_by("position", "pk"):
        rules.setdefault(rule.project_id, []).append(rule)
    return {project_id: encode_rules(found) for project_id, found in rules.items()}


def find_mappings_to_insert(project_ids: Collection[int]) -> dict[int, str]:
    """As find_mappings, in a thread of its own.

    Raises StoreUnavailable when the database is away: spans wait in the spool then rather than be misread.
    """
    try:
        return find_mappings(project_ids)
    except DatabaseError as error:
        raise StoreUnavailable(f"The database with the mapping rules cannot be read: {error}") from error
    finally:
        close_old_connections()


def build_tool_signals(project_id: int) -> Callable[[str], str]:
    """Return what a call says of a run (summary.requests.find_signal), by the name of its tool, with the project's rules first.

    They are read when the first tool is asked about. For tools that only the answers of models name: no span tells of those, and
    the span view has applied the rules to all others. What is returned raises django.db.Error.
    """

    @cache
    def read_rules() -> list[tuple[re2.Pattern, str]]:
        encoded = find_mappings([project_id]).get(project_id)
        return [(re2.compile(pattern), signal) for pattern, signal in json.loads(encoded)[1]] if encoded else []

    @cache
    def read_signal(tool: str) -> str:
        return next((signal for pattern, signal in read_rules() if pattern.match(tool)), "") or find_signal(tool)

    return read_signal


def check_rule(rule: MappingRule) -> None:
    """Raise ValidationError unless the rule is one that `encode_rules` takes and its project has room for it."""
    rule.full_clean()
    others = MappingRule.objects.filter(project_id=rule.project_id).exclude(pk=rule.pk).count()
    if others >= MAX_RULES:
        raise ValidationError(f"A project has at most {MAX_RULES} rules. Delete one that is no longer needed.")
