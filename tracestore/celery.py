"""The Celery application: which jobs run and when. In the default install broker, worker and beat live in the one process."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracestore.settings")
# Each worker would run Django's checks at its start, which load the code of all pages, and Celery throws away what they say.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
_IN_PROCESS = (os.environ.get("CELERY_BROKER_URL", "").strip() or "memory").startswith("memory")  # empty means the default
_DELIVERY_QUEUE = "deliveries"


def _create_app(name: str, queue: str, *, current: bool) -> Celery:
    """Return an application whose worker consumes this queue. Which queue a task goes to is the same from each."""
    created = Celery(name, set_as_current=current)
    created.config_from_object("django.conf:settings", namespace="CELERY")
    created.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # the default gives up after 100, and the process would serve on without its jobs
        # The in-process broker is polled; the default of a second would be most of the two seconds a span may take to appear.
        broker_transport_options={"polling_interval": 0.1} if _IN_PROCESS else {},
        task_default_queue=queue,
        task_routes={f"alerts.tasks.{task}": {"queue": _DELIVERY_QUEUE} for task in ("deliver_notification", "send_digest")},
        timezone="UTC",
    )
    created.autodiscover_tasks(["tracestore", "alerts"])
    return created


app = _create_app("tracestore", "tracestore", current=True)
# A receiver may take its time; on threads of their own the messages wait for each other alone. An application of their own,
# because Celery keeps which queues to consume on the application.
delivery_app = _create_app("tracestore-deliveries", _DELIVERY_QUEUE, current=False)


@signals.setup_logging.connect
def _keep_django_logging(**_: Any) -> None:
    """Celery would replace the root logger's handlers; settings.LOGGING already says where lines go."""


@app.on_after_configure.connect
def _schedule(sender: Celery, **_: Any) -> None:
    from django.conf import settings

    for name, task, every_s in (
        ("summarize", "tracestore.tasks.summarize_traces", 2.0),
        ("settle", "tracestore.tasks.settle_running_traces", 15.0),
        ("roll up", "tracestore.tasks.roll_up", 10.0),
        ("preview", "tracestore.tasks.preview_traces", 2.0),
        ("check parts", "tracestore.tasks.check_parts", 60.0),
        ("return memory", "tracestore.tasks.return_memory", 15.0),
        ("index words", "tracestore.tasks.index_words", 60.0),
        ("delete what is old", "tracestore.tasks.delete_old", 3600.0),
        ("work on the past", "tracestore.tasks.work_on_past", 5.0),
        ("evaluate alert rules", "alerts.tasks.evaluate_alert_rules", float(settings.ALERT_INTERVAL_S)),
        ("tend incidents", "alerts.tasks.tend_incidents", 10.0),
        ("measure beginnings of alerts", "alerts.tasks.measure_beginnings", 60.0),
        ("send digests", "alerts.tasks.send_digests", 30.0),
        ("deliver notifications", "alerts.tasks.deliver_notifications", 5.0),
    ):
        # A beat that nobody consumed is stale: the next one does the same work.
        sender.conf.beat_schedule[name] = {"task": task, "schedule": every_s, "options": {"expires": max(every_s, 5.0)}}
