"""What happens inside the agent's tools: database, search, the billing agent in its own process, mail."""

from __future__ import annotations

from typing import Any

from demo import story
from demo.agent import Run, ToolBody, record_call, text_message, to_json
from demo.spans import CLIENT, SERVER, Attributes, Failure, Service, set_attributes

_HTTPX, _ASGI, _ASYNCPG = (f"opentelemetry.instrumentation.{name}" for name in ("httpx", "starlette", "asyncpg"))
_GATEWAY_TIMEOUT_S = 8.0


def _lookup_order(run: Run, arguments: dict[str, Any]) -> Any:
    query: Attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": "SELECT",
        "db.collection.name": "orders",
        "db.namespace": "shop",
    }
    with run.span("SELECT orders", query, scope=_ASYNCPG, kind=CLIENT):
        run.wait(0.02)
    order_id = arguments["order_id"]
    if order_id != run.customer.order_id:
        raise Failure("OrderNotFound", f"no order {order_id}", story.NOT_FOUND_STACK.format(order=order_id))
    return {
        "order_id": order_id,
        "status": run.rng.choice(("shipped", "delivered", "delivered", "packed")),
        "items": [{"name": run.customer.product, "quantity": 1, "price": run.customer.price}],
        "paid": run.customer.price,
        "currency": "EUR",
        "carrier": run.rng.choice(story.CARRIERS),
    }


def _search_kb(run: Run, arguments: dict[str, Any]) -> Any:
    embedder = story.EMBEDDER
    words: str = arguments["query"]
    call: Attributes = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": embedder.provider,
        "gen_ai.request.model": embedder.name,
        "gen_ai.response.model": embedder.answers_as,
        "gen_ai.embeddings.dimension.count": 1536,
        "gen_ai.usage.input_tokens": max(2, len(words) // 4),
    }
    with run.span(f"embeddings {embedder.name}", call, scope=embedder.scope, kind=CLIENT):
        run.wait(0.09)
    wanted = next(index for index, (title, _) in enumerate(story.ARTICLES) if title == words)
    others = run.rng.sample([index for index in range(len(story.ARTICLES)) if index != wanted], 2)
    found = [
        {"id": f"kb-{index:03}", "title": story.ARTICLES[index][0], "content": story.ARTICLES[index][1], "score": round(score, 3)}
        for index, score in zip((wanted, *others), (run.rng.uniform(0.8, 0.95), 0.61, 0.48), strict=True)
    ]
    search: Attributes = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": "help-articles",
        "gen_ai.request.top_k": 3,
        "gen_ai.retrieval.query.text": words,
        "gen_ai.retrieval.documents": to_json(found),
    }
    with run.span("retrieval help-articles", search):
        run.wait(0.035)
    return [{"title": document["title"], "content": document["content"]} for document in found]


def _refund(run: Run, arguments: dict[str, Any]) -> Any:
    """Ask the billing agent, another process whose spans arrive on their own."""
    billing = Service("billing-agent", story.BILLING_VERSION, run.conversation.service.environment, "billing-agent-0")
    request = {
        "http.request.method": "POST",
        "url.full": "http://billing-agent.internal:8080/refunds",
        "server.address": "billing-agent.internal",
    }
    with run.span("POST", request, scope=_HTTPX, kind=CLIENT):
        run.recorder.wait(0.004)
        served = {"http.request.method": "POST", "http.route": "/refunds", "url.path": "/refunds"}
        with run.span("POST /refunds", served, scope=_ASGI, kind=SERVER, service=billing):
            return _settle(run, arguments, billing)


def _settle(run: Run, arguments: dict[str, Any], billing: Service) -> Any:
    asked = [text_message("user", f"May this be refunded? {to_json(arguments)}")]
    attributes: Attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "billing",
        "gen_ai.agent.description": "Checks refunds and pays them out.",
        "gen_ai.conversation.id": run.conversation.session_id,
        "user.id": run.customer.user_id,
        "gen_ai.input.messages": to_json(asked),
    }
    with run.span("invoke_agent billing", attributes, scope="billing_agent", service=billing) as span:
        verdict = text_message("assistant", "approve: paid in full, within 30 days") | {"finish_reason": "stop"}
        record_call(
            run, story.GPT_41_MINI, story.BILLING_PROMPT, asked, verdict, prompt=("billing-check", "2"), tools={}, service=billing
        )
        _pay(run, billing)
        refund_id = "re_" + run.new_id(6).hex()
        set_attributes(span, {"gen_ai.output.messages": to_json([text_message("assistant", f"paid, {refund_id}")])})
    return {"refund_id": refund_id, "amount": arguments["amount"], "currency": "EUR", "status": "accepted"}


def _pay(run: Run, billing: Service) -> None:
    path = "/v2/refunds" if run.version.name == "v3" else "/v1/refunds"
    request = {"http.request.method": "POST", "url.full": f"https://payments.example{path}", "server.address": "payments.example"}
    with run.span("POST", request, scope=_HTTPX, kind=CLIENT, service=billing):
        if run.chance(run.version.refund_timeout_rate):
            run.recorder.wait(_GATEWAY_TIMEOUT_S)
            message = f"no answer from payments.example after {_GATEWAY_TIMEOUT_S} s"
            raise Failure("PaymentGatewayTimeout", message, story.GATEWAY_TIMEOUT_STACK)
        run.wait(0.6)


def _send_email(run: Run, arguments: dict[str, Any]) -> Any:
    run.wait(0.25)
    if run.chance(0.02):
        raise Failure("SMTPServerDisconnected", "Connection lost", story.SMTP_STACK)
    return {"message_id": f"<{run.new_id(6).hex()}@nordlicht.example>", "accepted": [arguments["to"]]}


def _escalate_to_human(run: Run, arguments: dict[str, Any]) -> Any:
    run.wait(0.15)
    return {"ticket": f"T-{run.rng.randrange(10_000, 99_999)}", "queue": "second-line", "priority": arguments["priority"]}


TOOL_BODIES: dict[str, ToolBody] = {
    "lookup_order": _lookup_order,
    "search_kb": _search_kb,
    "refund": _refund,
    "send_email": _send_email,
    "escalate_to_human": _escalate_to_human,
}
