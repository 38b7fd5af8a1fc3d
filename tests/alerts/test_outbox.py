"""The outbox under workers that race, die and meet receivers that do not let go: real processes, real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from alerts import delivery
from alerts.channels import ChannelError, deadline
from alerts.channels.deadline import call_within
from alerts.messages.message import build_notification
from alerts.models import Delivery, NotificationChannel
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.receivers import lock_database_while_answering, receive_mail, receive_webhooks
from tests.factories import default_project
from tests.live import ROOT
from tests.waiting import wait_until
from tracestore.clickhouse.client import Store

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
# A worker of its own process: it delivers what is due and, told so, dies at the moment after the receiver's acceptance.
_WORKER = """
import os, signal, sys
from datetime import datetime
import django
django.setup()
from alerts import delivery
if "die" in sys.argv:
    delivery.mark_delivered = lambda _: os.kill(os.getpid(), signal.SIGKILL)
now = datetime.fromisoformat(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for pk in delivery.find_due_deliveries(now):
    delivery.deliver(pk, now)
"""


def fire(store: Store, *channels: NotificationChannel, now: datetime = NOW, **rule: Any) -> None:
    insert_traffic(store, now, failed=37, ok=173)
    evaluate_rule(create_rule(*channels, **rule).pk, now)


@contextlib.contextmanager
def start_worker(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a worker on this test's database; it waits for a line before it delivers."""
    database = f"sqlite:///{connection.settings_dict['NAME']}"
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, NOW.isoformat(), *arguments],
        cwd=ROOT, env=os.environ | {"DATABASE_URL": database}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert worker.stdin
    assert worker.stdout
    try:
        assert worker.stdout.readline() == "ready\n"
        yield worker
    finally:
        worker.kill()
        worker.wait(150)
        worker.stdin.close()
        worker.stdout.close()


def tell(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin
    worker.stdin.write("go\n")
    worker.stdin.flush()


@pytest.fixture
def trickle() -> Iterator[tuple[str, threading.Event]]:
    """A receiver that sends a byte of its answer every so often, so that no single read ever waits long, until it is let go."""
    let_go = threading.Event()

    def answer(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=drip, args=(client,), daemon=True).start()

    def drip(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.recv(65536)
            client.sendall(b"HTTP/1.1 204 No Content\r\nX-Slow: ")
            while not let_go.wait(0.05):
                client.sendall(b".")
            client.sendall(b"\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook", let_go
        let_go.set()


@pytest.mark.django_db(transaction=True)
def test_two_worker_processes_that_race_deliver_each_message_once(store: Store) -> None:
    with receive_webhooks() as hook, start_worker() as first, start_worker() as second:
        hook.delay_s = 0.05
        fire(store, *(create_channel(name=str(number), target=f"{hook.url}/{number}") for number in range(12)))

        for worker in (first, second):
            tell(worker)
        assert [worker.wait(150) for worker in (first, second)] == [0, 0]

    assert sorted(hook.paths) == sorted(f"/hook/{number}" for number in range(12))
    assert set(Delivery.objects.values_list("status", "attempts")) == {("delivered", 1)}


@pytest.mark.django_db(transaction=True)
def test_message_of_a_worker_killed_in_mid_send_is_sent_by_another_when_the_claim_runs_out(store: Store) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, start_worker() as worker:
        listener.settimeout(150)
        channel = create_channel(target=f"http://127.0.0.1:{listener.getsockname()[1]}/hook")
        fire(store, channel)
        tell(worker)
        held, _ = listener.accept()
        with held:
            assert held.recv(65536).startswith(b"POST /hook")
            os.kill(worker.pid, signal.SIGKILL)
            assert worker.wait(150) == -signal.SIGKILL

    with receive_webhooks() as hook:
        NotificationChannel.objects.update(target=hook.url)
        assert delivery.find_due_deliveries(NOW + timedelta(seconds=30)) == []
        later = NOW + 2 * delivery.lease()  # the claim is renewed once the message has been made
        due = delivery.find_due_deliveries(later)
        assert [delivery.deliver(pk, later) for pk in due] == [True]

    made = Delivery.objects.get()
    assert (made.status, made.attempts, len(hook.bodies)) == ("delivered", 2, 1)


@pytest.mark.django_db(transaction=True)
def test_message_that_was_accepted_but_not_marked_comes_again_under_the_same_id(store: Store) -> None:
    with receive_webhooks() as hook, start_worker("die") as worker:
        fire(store, create_channel(target=hook.url))
        tell(worker)
        assert worker.wait(150) == -signal.SIGKILL

        delivery.release_claims(NOW)  # as the only process does when it starts again
        assert [delivery.deliver(pk, NOW) for pk in delivery.find_due_deliveries(NOW)] == [True]
        assert delivery.find_due_deliveries(NOW + timedelta(days=1)) == []

    assert len({body["delivery_id"] for body in hook.bodies}) == 1
    assert len(hook.bodies) == 2


@pytest.mark.django_db
def test_receiver_that_trickles_for_minutes_ties_up_one_bounded_attempt(
    store: Store, settings: Any, trickle: tuple[str, threading.Event]
) -> None:
    settings.DELIVERY_TIMEOUT_S = 1
    target, let_go = trickle
    fire(store, create_channel(target=target))
    pk = Delivery.objects.get().pk

    assert not delivery.deliver(pk, NOW)

    assert Delivery.objects.get().last_error == "The receiver did not finish within 1 s."
    assert not delivery.deliver(pk, NOW + timedelta(minutes=1))
    assert Delivery.objects.get().last_error == "The receiver still holds an earlier attempt."
    let_go.set()
    wait_until(lambda: not any(thread.name.startswith("delivery to channel") for thread in threading.enumerate()))
    settings.DELIVERY_TIMEOUT_S = 60
    assert delivery.deliver(pk, NOW + timedelta(minutes=5))


def test_receiver_that_is_given_up_while_another_is_looked_at_holds_its_channel() -> None:
    let_go = threading.Event()
    looks: list[threading.Thread] = []

    def hold() -> None:
        let_go.wait(200)

    def give_up() -> None:
        with contextlib.suppress(ChannelError):
            call_within(0.05, 2, hold)

    giving_up = threading.Thread(target=give_up)

    class Earlier(threading.Thread):
        """An attempt of before. While somebody sees that it has ended, another is given up."""

        def is_alive(self) -> bool:
            looks.append(self)
            if len(looks) == 1:
                giving_up.start()
                giving_up.join(1)
            return super().is_alive()

    deadline._abandoned.append((1, Earlier()))
    call_within(60, 3, lambda: None)
    giving_up.join(60)

    with pytest.raises(ChannelError, match="still holds an earlier attempt"):
        call_within(60, 2, lambda: None)
    let_go.set()


@pytest.mark.django_db
def test_silence_puts_off_the_other_messages_of_its_channel_alone(store: Store) -> None:
    silent, other = create_channel(target="http://127.0.0.1:9/hook"), create_channel(name="Other")
    fire(store, silent, other)
    evaluate_rule(create_rule(silent, name="Second", severity="critical").pk, NOW)
    first, second = Delivery.objects.filter(channel=silent)

    assert not delivery.deliver(first.pk, NOW)

    assert second.pk not in delivery.find_due_deliveries(NOW + timedelta(seconds=5))
    assert second.pk in delivery.find_due_deliveries(NOW + timedelta(seconds=60))
    assert Delivery.objects.get(channel=other).pk in delivery.find_due_deliveries(NOW)


@pytest.mark.django_db
def test_answer_about_one_message_says_nothing_of_the_others(store: Store) -> None:
    with receive_webhooks(500) as hook:
        channel = create_channel(target=hook.url)
        fire(store, channel)
        evaluate_rule(create_rule(channel, name="Second", severity="critical").pk, NOW)
        first, second = Delivery.objects.all()
        delivery.deliver(first.pk, NOW)

        assert delivery.deliver(second.pk, NOW)


@pytest.mark.django_db(transaction=True)
def test_acceptance_is_written_down_although_the_database_is_locked_for_a_while(store: Store) -> None:
    with receive_webhooks() as hook, lock_database_while_answering(hook):
        fire(store, create_channel(target=hook.url))

        assert delivery.deliver(Delivery.objects.get().pk, NOW)

    assert (len(hook.bodies), Delivery.objects.get().status) == (1, "delivered")


@pytest.mark.django_db
def test_channel_list_shows_what_does_not_arrive_and_what_was_given_up(client: Client, store: Store) -> None:
    default_project()
    fire(store, create_channel(target="http://127.0.0.1:9/hook"))
    Delivery.objects.update(created_at=timezone.now(), next_attempt_at=timezone.now())
    delivery.deliver(Delivery.objects.get().pk, timezone.now())

    failing = client.get("/alerts/channels").content.decode()
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=8))
    delivery.find_due_deliveries(timezone.now())
    given_up = client.get("/alerts/channels").content.decode()

    assert "1 message not delivered yet, attempt 1: The receiver cannot be reached: Connection refused." in failing
    assert "1 message given up after seven days without success." in given_up
    assert "not delivered yet" not in given_up


@pytest.mark.django_db(transaction=True)
def test_switching_a_channel_on_does_not_send_what_is_being_sent(store: Store) -> None:
    with receive_webhooks() as hook:
        channel = create_channel(target=hook.url)
        fire(store, channel, now=timezone.now())
        due = delivery.find_due_deliveries(timezone.now())
        found_meanwhile: list[list[int]] = []

        def switch_on() -> None:
            delivery.set_channel_enabled(NotificationChannel.objects.get(), enabled=True)
            found_meanwhile.append(delivery.find_due_deliveries(timezone.now()))
            connections.close_all()

        hook.before_answer = switch_on
        sent = [delivery.deliver(pk, timezone.now()) for pk in due]

    assert (sent, found_meanwhile, len(hook.bodies)) == ([True], [[]], 1)


@pytest.mark.django_db
def test_switching_a_channel_on_sends_what_waited_after_a_failure(store: Store) -> None:
    with receive_webhooks(500) as hook:
        now = timezone.now()
        fire(store, create_channel(target=hook.url), now=now)
        (pk,) = delivery.find_due_deliveries(now)
        assert not delivery.deliver(pk, now)
        assert delivery.find_due_deliveries(now) == []

        delivery.set_channel_enabled(NotificationChannel.objects.get(), enabled=True)

        assert delivery.find_due_deliveries(timezone.now()) == [pk]


@pytest.mark.django_db
def test_backlog_is_taken_in_portions_that_make_way_for_each_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_AT_ONCE", 2)
    with receive_webhooks() as hook:
        channels = [create_channel(name=f"c{number}", target=hook.url) for number in range(5)]
        fire(store, *channels, now=timezone.now())
        rounds = 0
        while due := delivery.find_due_deliveries(timezone.now()):
            assert len(due) <= 2
            assert all(delivery.deliver(pk, timezone.now()) for pk in due)
            rounds += 1

    assert (rounds, len(hook.bodies)) == (3, 5)


@pytest.mark.django_db
def test_worker_that_the_store_held_too_long_leaves_the_message_to_its_successor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receive_webhooks() as hook:
        fire(store, create_channel(target=hook.url))
        (pk,) = delivery.find_due_deliveries(NOW)
        taken_over: list[bool] = []

        def build_slowly(*arguments: Any) -> Any:
            if not taken_over:
                taken_over.append(False)  # the successor comes by here as well
                taken_over[0] = delivery.deliver(pk, NOW + delivery.lease() + timedelta(seconds=1))
            return build_notification(*arguments)

        monkeypatch.setattr(delivery, "build_notification", build_slowly)
        sent = delivery.deliver(pk, NOW)

    assert (taken_over, sent, len(hook.bodies)) == ([True], False, 1)


@pytest.mark.django_db
def test_successor_of_a_worker_that_never_ended_asks_the_store_nothing(
    store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receive_mail() as mail:
        settings.SMTP_URL = mail.url
        fire(store, create_channel(kind="email", target="ann@example.com"))
        (pk,) = delivery.find_due_deliveries(NOW)
        with monkeypatch.context() as held:
            held.setattr(delivery, "_renew", lambda *_: False)  # as if its process had ended here
            assert not delivery.deliver(pk, NOW)
        monkeypatch.setattr(delivery, "get_store", lambda: pytest.fail("the store was asked"))

        assert delivery.deliver(pk, NOW + delivery.lease() + timedelta(seconds=1))

    assert len(mail.messages) == 1
