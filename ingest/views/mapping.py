"""The page of a project's mapping rules: list, editor with a tester, and reading stored spans again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from ingest.mapping import MAX_PASTED_CHARACTERS, BadSpan, try_rules
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.jobs.reread import AlreadyRunning, cancel_reread, start_reread
from tracestore.mapping import check_rule
from tracestore.models import MappingRule, Reread
from tracestore.semconv.kinds import SPAN_KINDS
from tracestore.semconv.signals import SIGNALS
from tracestore.web.fragments import fragment_of
from tracestore.web.requests import PageRequest

# What people call the targets, in the groups of the form's menu.
TARGETS = (
    ("Meaning", {"kind": "Kind of step", "signal": "Signal: hand-off, escalation", "error_type": "Error type (the span failed)"}),
    ("Conversation", {"session_id": "Session", "user_id": "User", "workflow": "Workflow", "agent": "Agent"}),
    ("Deployment", {"service": "Service", "environment": "Environment", "version": "Version"}),
    ("Tool", {"tool": "Tool", "tool_call_id": "Tool call id"}),
    (
        "Model call",
        {
            "request_model": "Model asked for", "response_model": "Model that answered", "provider": "Provider",
            "response_id": "Response id", "finish_reason": "Finish reason", "prompt_name": "Prompt",
            "prompt_version": "Prompt version",
        },
    ),
    (
        "Usage",
        {
            "input_tokens": "Input tokens", "output_tokens": "Output tokens", "total_tokens": "Total tokens",
            "cache_read_tokens": "Tokens read from a cache", "cache_write_tokens": "Tokens written to a cache",
            "reasoning_tokens": "Reasoning tokens", "supplied_cost_usd": "Cost in US dollars",
        },
    ),
)  # fmt: skip
LABELS = {target: label for _, group in TARGETS for target, label in group.items()}


class MappingRuleForm(forms.ModelForm[MappingRule]):
    """A rule as it is typed. The model says what is wrong with it, field by field."""

    target = forms.ChoiceField(
        choices=[(name, list(group.items())) for name, group in TARGETS],
        error_messages={"invalid_choice": "Choose a field of the list."},
    )

    class Meta:
        model = MappingRule
        fields = ("source", "key", "pattern", "target", "value", "position")

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's hook, which the stubs leave out
        if not self.errors:
            try:
                check_rule(self.instance)
            except ValidationError as error:
                self.add_error(None, error)


def _context(request: PageRequest, form: MappingRuleForm, rule: MappingRule | None) -> dict[str, Any]:
    project = request.project
    rules = list(MappingRule.objects.filter(project=project))
    return {
        "form": form,
        "rule": rule,
        "rows": [{"rule": each, "target": LABELS.get(each.target, each.target)} for each in rules],
        "kinds": SPAN_KINDS,
        "signals": SIGNALS,
        "max_pasted": MAX_PASTED_CHARACTERS,
        "job": Reread.objects.filter(project=project).last(),
    }


@require_http_methods(["GET", "POST"])
def mapping(request: PageRequest, rule_id: int | None = None) -> HttpResponse:
    """The page; with the rule that is being changed, or an empty form for a new one."""
    project = request.project
    rule = get_object_or_404(MappingRule, pk=rule_id, project=project) if rule_id else None
    last = MappingRule.objects.filter(project=project).last()
    # The target that one most often needs a rule for, and that needs no constant.
    draft = rule or MappingRule(project=project, target="session_id", position=last.position + 1 if last else 0)
    form = MappingRuleForm(request.POST or None, instance=draft)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("mapping")
    return render(request, "ingest/mapping.html", _context(request, form, rule), status=422 if form.errors else 200)


@require_POST
def mapping_delete(request: PageRequest, rule_id: int) -> HttpResponse:
    get_object_or_404(MappingRule, pk=rule_id, project=request.project).delete()
    return redirect("mapping")


@require_POST
def mapping_test(request: PageRequest, rule_id: int | None = None) -> HttpResponse:
    """The fragment that says what the span would become by the saved rules and the one in the form, if it is filled in."""
    project = request.project
    saved = list(MappingRule.objects.filter(project=project))
    rules, problems, draft = saved, [], None
    if request.POST.get("key") or request.POST.get("pattern"):
        draft = MappingRule(project=project, pk=rule_id)
        form = MappingRuleForm(request.POST, instance=draft)
        if not form.is_valid():
            problems = [message for messages in form.errors.values() for message in messages]
        others = [rule for rule in saved if rule.pk != rule_id]
        rules = sorted([*others, draft], key=lambda rule: (rule.position, rule.pk or 2**62))
    context: dict[str, Any] = {"problems": problems}
    if not problems:
        try:
            trial = try_rules(get_store(), rules, project_id=project.pk, span=request.POST.get("span", ""))
            context |= {"trial": trial, "draft": draft}
        except (BadSpan, StoreError) as error:
            context["problems"] = [str(error)]
    return render(request, "ingest/_mapping_trial.html", context, status=422 if context["problems"] else 200)


def _render_reread(request: PageRequest, problem: str = "") -> HttpResponse:
    job = Reread.objects.filter(project=request.project).last()
    status = 422 if problem else 200
    return render(request, "ingest/_reread.html", {"job": job, "problem": problem}, status=status)


@fragment_of("mapping", anchor="reread")
@require_GET
def reread_progress(request: PageRequest) -> HttpResponse:
    """The fragment with the last run; it reloads itself while that is under way."""
    return _render_reread(request)


@require_POST
def reread_switch(request: PageRequest) -> HttpResponse:
    """Start reading stored spans again, or with `cancel` stop it."""
    problem = ""
    if "cancel" in request.POST:
        cancel_reread(request.project.pk)
    else:
        try:
            start_reread(request.project.pk)
        except AlreadyRunning as error:
            problem = str(error)
    if not request.headers.get("HX-Request"):
        return redirect("mapping")
    return _render_reread(request, problem)
