"""Notification channels: list, editor, test message, switch and delete."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from alerts.channels import ChannelError, describe_target
from alerts.delivery import describe_backlog, rotate_secret, send_test, set_channel_enabled
from alerts.forms.channels import ChannelForm
from alerts.models import ChannelKind, NotificationChannel
from tracestore.web.requests import PageRequest


@require_GET
def channel_list(request: PageRequest) -> HttpResponse:
    channels = NotificationChannel.objects.filter(project=request.project).prefetch_related("rules")
    rows = [
        {
            "channel": channel,
            "target": describe_target(channel.kind, channel.target),
            **describe_backlog(channel),
        }
        for channel in channels
    ]
    return render(request, "alerts/channel_list.html", {"rows": rows})


@require_http_methods(["GET", "POST"])
def channel_edit(request: PageRequest, channel_id: int | None = None) -> HttpResponse:
    """A saved channel is on: someone has just looked at it."""
    channel = get_object_or_404(NotificationChannel, pk=channel_id, project=request.project) if channel_id else None
    form = ChannelForm(request.POST or None, instance=channel, project=request.project)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        set_channel_enabled(saved, enabled=True)
        if saved.can_sign and not saved.secret:
            return _show_secret(request, saved)
        return redirect("alert-channel-list")
    context = {"form": form, "channel": channel, "has_mail_server": bool(settings.SMTP_URL)}
    return render(request, "alerts/channel_edit.html", context, status=422 if form.errors else 200)


@require_POST
def channel_secret(request: PageRequest, channel_id: int) -> HttpResponse:
    """Give a webhook a new secret."""
    channel = get_object_or_404(NotificationChannel, pk=channel_id, project=request.project, kind=ChannelKind.WEBHOOK)
    return _show_secret(request, channel)


def _show_secret(request: PageRequest, channel: NotificationChannel) -> HttpResponse:
    """The answer itself shows it, without a redirect: it must be kept nowhere on its way to the page."""
    was_signed = bool(channel.secret)
    context = {"channel": channel, "secret": rotate_secret(channel, timezone.now()), "was_signed": was_signed}
    response = render(request, "alerts/channel_secret.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def channel_test(request: PageRequest, channel_id: int) -> HttpResponse:
    """A fragment that says whether the channel took a test message."""
    channel = get_object_or_404(NotificationChannel, pk=channel_id, project=request.project)
    try:
        send_test(channel)
    except ChannelError as error:
        return render(request, "alerts/_channel_test.html", {"target": f"channel-test-{channel.pk}", "error": str(error)})
    return render(request, "alerts/_channel_test.html", {"target": f"channel-test-{channel.pk}"})


@require_POST
def channel_switch(request: PageRequest, channel_id: int) -> HttpResponseRedirect:
    """Switch a channel on or off (`enabled` is "1" or "0")."""
    channel = get_object_or_404(NotificationChannel, pk=channel_id, project=request.project)
    set_channel_enabled(channel, enabled=request.POST.get("enabled") == "1")
    return redirect("alert-channel-list")


@require_POST
def channel_delete(request: PageRequest, channel_id: int) -> HttpResponseRedirect:
    get_object_or_404(NotificationChannel, pk=channel_id, project=request.project).delete()
    return redirect("alert-channel-list")
