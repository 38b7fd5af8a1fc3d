"""Which alerts go to which channels, and to whom next when nobody answers."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models

from alerts.models.channels import NotificationChannel
from alerts.on_call.matcher import MAX_LENGTH, MatcherError, parse_matcher
from alerts.on_call.paging import RoutePlan, Step
from tracestore.models import Project

MAX_STEPS = 5
MAX_PAUSE_S = 7 * 86_400


def validate_matcher(text: str) -> None:
    try:
        parse_matcher(text)
    except MatcherError as error:
        raise ValidationError(str(error), code="matcher") from None


class Route(models.Model):
    """Routes are asked in the order of `position`; see `alerts.paging.plan_turns`. `repeat_s` 0 repeats nothing."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="alert_routes")
    name = models.CharField(max_length=128)
    position = models.PositiveIntegerField()
    matcher = models.CharField(max_length=MAX_LENGTH, blank=True, default="", validators=[validate_matcher])
    repeat_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_PAUSE_S)])
    goes_on = models.BooleanField(default=False)
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="route_name_once_per_project")]

    def __str__(self) -> str:
        return self.name

    def to_plan(self) -> RoutePlan:
        steps = tuple(Step(step.after_s, frozenset(channel.pk for channel in step.channels.all())) for step in self.steps.all())
        return RoutePlan(parse_matcher(self.matcher), steps, self.repeat_s, self.goes_on)


class RouteStep(models.Model):
    """Channels told `after_s` seconds after an alert began, unless someone has acknowledged; 0 is at once."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="steps")
    after_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(MAX_PAUSE_S)])
    channels = models.ManyToManyField(NotificationChannel, related_name="route_steps")

    class Meta:
        ordering = ["after_s", "id"]
        constraints = [models.UniqueConstraint(fields=["route", "after_s"], name="one_step_per_route_and_time")]
