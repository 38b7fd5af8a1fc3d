"""REST API of a project's own prices."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tracestore.models import ModelPrice
from tracestore.prices.stored import load_prices
from tracestore.web.rest import page_of, project_of, require_room

# All of them are read anew every few seconds.
MAX_PRICES = 1000


class PriceSerializer(serializers.ModelSerializer[ModelPrice]):
    """A price in USD for a million tokens."""

    class Meta:
        model = ModelPrice
        fields = ("id", "provider", "model", "input_usd", "output_usd", "cache_read_usd", "cache_write_usd", "from_day")
        read_only_fields = ("id",)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is there already; without this the database would."""
        same = {name: attrs[name] for name in ("provider", "model", "from_day") if name in attrs}
        fields = {"provider": "", "from_day": ModelPrice.BEGINNING} | same
        if ModelPrice.objects.filter(project=self.context["project"], **fields).exists():
            raise serializers.ValidationError({"model": ["This model has a price from that day on: delete it first."]})
        return attrs


class PriceListView(APIView):
    """All prices of the project, and the place to add one."""

    @extend_schema(operation_id="list_prices", responses=page_of("PricePage", PriceSerializer))
    def get(self, request: Request) -> Response:
        prices = ModelPrice.objects.filter(project=project_of(request))
        return Response({"results": PriceSerializer(prices, many=True).data, "next": None})

    @extend_schema(operation_id="create_price", request=PriceSerializer, responses={201: PriceSerializer})
    def post(self, request: Request) -> Response:
        """Add a price. Costs of the past follow `manage.py reprice`."""
        project = project_of(request)
        require_room(ModelPrice.objects.filter(project=project), MAX_PRICES, "prices")
        data = PriceSerializer(data=request.data, context={"project": project})
        data.is_valid(raise_exception=True)
        price = data.save(project=project)
        load_prices(now=True)
        return Response(PriceSerializer(price).data, status=status.HTTP_201_CREATED)


class PriceView(APIView):
    """One price."""

    @extend_schema(operation_id="delete_price", responses={204: None})
    def delete(self, request: Request, price_id: int) -> Response:
        deleted, _ = ModelPrice.objects.filter(project=project_of(request), pk=price_id).delete()
        if not deleted:
            raise Http404(f"There is no price {price_id}.")
        load_prices(now=True)
        return Response(status=status.HTTP_204_NO_CONTENT)
