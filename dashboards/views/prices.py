"""The page of a project's own prices: what has one, what lacks one, and computing the past again."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from django import forms
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from tracestore.clickhouse.client import get_store
from tracestore.clickhouse.errors import StoreError
from tracestore.jobs.recompute import AlreadyRunning, cancel_recomputation, start_recomputation
from tracestore.language import parse_query
from tracestore.models import ModelPrice, Recomputation
from tracestore.prices.stored import load_prices
from tracestore.queries.unpriced_models import find_unpriced_models
from tracestore.timerange import DAY_NS, TimeRange
from tracestore.web.requests import PageRequest

_UNPRICED_DAYS = 30


class PriceForm(forms.ModelForm[ModelPrice]):
    """A price as it is typed; an empty day means from the beginning."""

    class Meta:
        model = ModelPrice
        fields = ("model", "provider", "input_usd", "output_usd", "cache_read_usd", "cache_write_usd", "from_day")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["from_day"].required = False

    def clean(self) -> dict[str, Any]:
        """Fill in the day, and refuse a second price for the same."""
        data: dict[str, Any] = super().clean() or {}
        if data.get("from_day") is None and "from_day" not in self.errors:
            data["from_day"] = ModelPrice.BEGINNING
        same = {name: data.get(name) for name in ("provider", "model", "from_day")}
        if not self.errors and ModelPrice.objects.filter(project=self.instance.project, **same).exists():
            self.add_error("model", "This model has a price from that day on: delete it first.")
        return data


@require_http_methods(["GET", "POST"])
def price_list(request: PageRequest) -> HttpResponse:
    """The page, or the answer to a new price."""
    form = PriceForm(
        request.POST or None,
        instance=ModelPrice(project=request.project),
        initial={"model": request.GET.get("model", "")[:200], "from_day": ""},
    )
    if request.method == "POST" and form.is_valid():
        form.save()
        load_prices(now=True)
        return redirect("price-list")
    now_ns = time.time_ns()
    unpriced, problem = [], ""
    try:
        unpriced = find_unpriced_models(
            get_store(), project_id=request.project.id, time_range=TimeRange(now_ns - _UNPRICED_DAYS * DAY_NS, now_ns),
            query=parse_query(""),
        )  # fmt: skip
    except StoreError as error:
        problem = str(error)
    context = {
        "form": form,
        "rows": [_row(price) for price in ModelPrice.objects.filter(project=request.project)],
        "unpriced": unpriced,
        "unpriced_days": _UNPRICED_DAYS,
        "problem": problem,
        "job": Recomputation.objects.filter(project=request.project, kind=Recomputation.Kind.PRICES).last(),
    }
    return render(request, "dashboards/prices.html", context, status=422 if form.errors else 200)


def _row(price: ModelPrice) -> dict[str, Any]:
    """Return the price with its amounts as short texts, None for one that is that of input."""
    amounts = (price.input_usd, price.output_usd, price.cache_read_usd, price.cache_write_usd)
    labels = ("Input", "Output", "Cache read", "Cache write")
    shown = [(label, None if usd is None else f"{usd.normalize():f}") for label, usd in zip(labels, amounts, strict=True)]
    return {"price": price, "amounts": shown, "is_from_beginning": price.from_day == ModelPrice.BEGINNING}


@require_POST
def price_delete(request: PageRequest, price_id: int) -> HttpResponse:
    get_object_or_404(ModelPrice, pk=price_id, project=request.project).delete()
    load_prices(now=True)
    return redirect("price-list")


@require_POST
def price_history(request: PageRequest) -> HttpResponse:
    """Start or cancel computing the costs of all stored traces again."""
    if request.POST.get("cancel"):
        cancel_recomputation(request.project.id, Recomputation.Kind.PRICES)
    else:
        with contextlib.suppress(AlreadyRunning):  # the page shows how far that one is
            start_recomputation(request.project.id, Recomputation.Kind.PRICES, TimeRange(0, time.time_ns()))
    return redirect("price-list")
