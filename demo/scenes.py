"""What customers want and how the agent handles it. A scene leaves normally, or with the Failure that ends the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from demo import story
from demo.agent import Run
from demo.spans import Failure

Scene = Callable[[Run], str]  # returns the answer to the customer


def ask_status(run: Run) -> str:
    run.hear(run.rng.choice(story.ASK_STATUS).format(order=run.customer.order_id))
    order = look_up(run)
    if run.chance(0.3):
        run.use("search_kb", {"query": "Shipping times"})
    return run.answer(f"Your order {order['order_id']} is {order['status']}; {order['carrier']} carries it.")


def ask_refund(run: Run) -> str:
    run.hear(run.rng.choice(story.ASK_REFUND).format(order=run.customer.order_id, product=run.customer.product))
    order = look_up(run)
    if run.chance(0.5):
        run.use("search_kb", {"query": "Returns and refunds"})
    arguments = {"order_id": order["order_id"], "amount": order["paid"], "reason": "does not fit"}
    try:
        receipt = run.use("refund", arguments)
    except Failure as failure:
        receipt = recover_refund(run, arguments, failure)
        if receipt is None:
            return run.answer("The refund did not go through just now. A colleague will finish it today and write to you.")
    tell_by_email(run, f"Refund {receipt['refund_id']}", f"{receipt['amount']:.2f} EUR are on their way back to your account.")
    return run.answer(
        f"Done: {receipt['amount']:.2f} EUR for the {run.customer.product} will reach your account within five working days."
    )


def recover_refund(run: Run, arguments: dict[str, Any], failure: Failure) -> dict[str, Any] | None:
    """The version decides: end the run with the failure, hand over (None), or try once more."""
    if run.chance(run.version.gives_up_rate):
        raise failure
    if run.chance(0.55):
        run.use("escalate_to_human", {"reason": f"refund failed: {failure.type_name}", "priority": "high"})
        return None
    receipt: dict[str, Any] = run.use("refund", arguments)
    return receipt


def ask_question(run: Run) -> str:
    question, article = run.rng.choice(story.QUESTIONS)
    run.hear(question)
    run.use("search_kb", {"query": story.ARTICLES[article][0]})
    return run.answer(story.ARTICLES[article][1])


def ask_human(run: Run) -> str:
    run.hear(run.rng.choice(story.ASK_HUMAN))
    look_up(run)
    ticket = run.use("escalate_to_human", {"reason": "customer asks for a person", "priority": "normal"})
    return run.answer(f"I have handed this over to a colleague, ticket {ticket['ticket']}. You will hear from us today.")


def say_thanks(run: Run) -> str:
    run.hear(run.rng.choice(story.THANKS))
    return run.answer("You are welcome! Write again whenever you need something.")


def look_up(run: Run) -> dict[str, Any]:
    """Look the customer's order up; at times the model mistypes the number first and corrects itself."""
    if run.chance(0.03):
        wrong = run.customer.order_id[:-2] + run.customer.order_id[-1] * 2 + "0"
        try:
            run.use("lookup_order", {"order_id": wrong})
        except Failure as failure:
            if failure.type_name != "OrderNotFound":
                raise
    order: dict[str, Any] = run.use("lookup_order", {"order_id": run.customer.order_id})
    if run.chance(0.004):
        raise Failure("JSONDecodeError", "Expecting value: line 1 column 74 (char 73)", story.BAD_JSON_STACK)
    return order


def tell_by_email(run: Run, subject: str, text: str) -> None:
    """Mail is worth a second try and no more: without it the customer still has the answer."""
    greeting = run.rng.choice(story.GREETINGS).format(name=run.customer.name.split()[0])
    for _ in range(2):
        try:
            run.use("send_email", {"to": run.customer.email, "subject": subject, "body": f"{greeting}\n\n{text}"})
            return
        except Failure as failure:
            if failure.type_name != "SMTPServerDisconnected":
                raise


ASK_HUMAN_RATE = 0.2  # of conversations; the version decides how many of them really lose patience
OPENINGS: tuple[tuple[Scene, float], ...] = ((ask_status, 0.3), (ask_refund, 0.42), (ask_question, 0.28))
FOLLOW_UPS: tuple[tuple[Scene, float], ...] = ((ask_question, 0.25), (ask_human, ASK_HUMAN_RATE), (say_thanks, 0.45))
