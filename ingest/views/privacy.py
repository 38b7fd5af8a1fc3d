"""The Privacy page: what of the project's data is masked or left out before it is stored, and a tester."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from ingest.privacy_preview import MAX_TEXT_CHARACTERS, TOO_SLOW, preview_text
from tracestore.models import Privacy
from tracestore.privacy.masking import (
    MAX_PATTERN_CHARACTERS,
    MAX_RULES,
    PRESETS,
    BadRule,
    MaskingTooSlow,
    build_masker,
    build_rule,
)
from tracestore.privacy.policy import build_policy, get_privacy, save_privacy
from tracestore.web.requests import PageRequest

_BLANK_ROWS = 2


@dataclass
class RuleRow:
    """An own rule as the form shows it; both fields empty is none."""

    name: str = ""
    pattern: str = ""
    problem: str = ""


@dataclass
class PrivacyForm:
    """The page's fields, from the database or as somebody filled them in."""

    row: Privacy
    rules: list[RuleRow]
    problem: str = ""

    @property
    def rows(self) -> list[RuleRow]:
        """Rules, and empty rows for more."""
        return [*self.rules, *(RuleRow() for _ in range(min(_BLANK_ROWS, MAX_RULES - len(self.rules))))]

    @property
    def is_valid(self) -> bool:
        return not self.problem and not any(rule.problem for rule in self.rules)

    @property
    def masks_nothing(self) -> bool:
        return self.is_valid and build_policy(self.row) is None


def _read_row(request: PageRequest) -> Privacy:
    return get_privacy(request.project)


def _read_form(data: QueryDict, row: Privacy) -> PrivacyForm:
    """Put what was sent into the row, unsaved, and check it."""
    row.presets = [name for name in PRESETS if name in data.getlist("presets")]
    row.stores_content = "no_content" not in data
    row.stores_error_texts = "no_error_texts" not in data
    row.links_equal_values = "links_equal_values" in data
    pairs = zip(data.getlist("rule_name"), data.getlist("rule_pattern"), strict=False)
    rules = [RuleRow(name.strip(), pattern) for name, pattern in pairs if name.strip() or pattern]
    for rule in rules:
        try:
            build_rule(rule.name, rule.pattern)
        except BadRule as error:
            rule.problem = str(error)
    row.rules = [{"name": rule.name, "pattern": rule.pattern} for rule in rules]
    form = PrivacyForm(row, rules)
    if form.is_valid:
        try:
            build_masker(row.presets, [(rule.name, rule.pattern) for rule in rules])
        except BadRule as error:
            form.problem = str(error)
    return form


@require_http_methods(["GET", "POST"])
def privacy(request: PageRequest) -> HttpResponse:
    """The page; a POST saves."""
    row = _read_row(request)
    if request.method == "POST":
        form = _read_form(request.POST, row)
        if form.is_valid:
            save_privacy(row)
            return redirect(f"{reverse('privacy')}?saved=1")
    else:
        form = PrivacyForm(row, [RuleRow(rule["name"], rule["pattern"]) for rule in row.rules])
    context = {
        "form": form,
        "presets": [(preset, preset.name in row.presets) for preset in PRESETS.values()],
        "saved": "saved" in request.GET,
        "max_rules": MAX_RULES,
        "max_pattern_characters": MAX_PATTERN_CHARACTERS,
    }
    return render(request, "ingest/privacy.html", context, status=200 if form.is_valid else 422)


@require_POST
def privacy_test(request: PageRequest) -> HttpResponse:
    """The tester's answer, for the fields as they are now. POST because a text is long; it changes nothing."""
    form = _read_form(request.POST, _read_row(request))
    text = request.POST.get("text", "")
    context: dict[str, object] = {"form": form}
    if len(text) > MAX_TEXT_CHARACTERS:
        context["problem"] = f"The text has {len(text):,} characters; the tester takes {MAX_TEXT_CHARACTERS:,}."
    elif form.is_valid and text:
        try:
            context["preview"] = preview_text(build_policy(form.row), text)
        except MaskingTooSlow:
            context["problem"] = TOO_SLOW
    return render(request, "ingest/_privacy_preview.html", context)
