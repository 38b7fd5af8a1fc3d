"""The login page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse

from tracestore.web.guessing import WINDOW_S, TooManyGuesses, refund_try, spend_try


class Login(LoginView):
    """Django's own, with a bound on wrong passwords."""

    redirect_authenticated_user = True

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        return super().get_context_data(has_password=bool(settings.ADMIN_PASSWORD), **context)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        address = request.META.get("REMOTE_ADDR", "")
        try:
            spend_try(address)
        except TooManyGuesses as error:
            context = self.get_context_data(form=AuthenticationForm(request), refusal=str(error))
            return self.render_to_response(context, status=429, headers={"Retry-After": str(WINDOW_S)})
        response = super().post(request, *args, **kwargs)
        if request.user.is_authenticated:
            refund_try(address)
        return response
