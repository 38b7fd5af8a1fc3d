"""Daily digests and weekly reports: list with what became of them, editor, sending one now."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts.channels import ChannelError, send_notification
from alerts.forms.digests import DigestForm
from alerts.models import Digest, NotificationChannel
from alerts.reports.digests import covered_time, find_digests
from alerts.reports.report import build_report
from alerts.views.editing import answer_editor, delete_one, find_or_new
from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.web.requests import PageRequest


@require_GET
def digest_list(request: PageRequest) -> HttpResponse:
    context = {
        "digests": find_digests(request.project.pk),
        "channel_count": NotificationChannel.objects.filter(project=request.project).count(),
    }
    return render(request, "alerts/digest_list.html", context)


@require_http_methods(["GET", "POST"])
def digest_edit(request: PageRequest, digest_id: int | None = None) -> HttpResponse:
    digest = find_or_new(request, Digest, digest_id)
    form = DigestForm(request.POST or None, instance=digest)
    context = {"digest": digest if digest.pk else None}
    return answer_editor(request, form, form.save, "alerts/digest_edit.html", context, "digest-list")


@require_POST
def digest_test(request: PageRequest, digest_id: int) -> HttpResponse:
    """A fragment that says whether the channel took the latest whole report, sent at once besides the schedule."""
    digest = get_object_or_404(Digest.objects.select_related("channel", "project"), pk=digest_id, project=request.project)
    start, end = covered_time(digest.period, digest.time_zone, timezone.now())
    try:
        send_notification(digest.channel, build_report(get_store(), digest, start, end))
    except (ChannelError, StoreError) as error:
        return render(request, "alerts/_channel_test.html", {"target": f"digest-test-{digest.pk}", "error": str(error)})
    return render(request, "alerts/_channel_test.html", {"target": f"digest-test-{digest.pk}"})


@require_POST
def digest_delete(request: PageRequest, digest_id: int) -> HttpResponse:
    return delete_one(request, Digest, digest_id, "digest-list")
