"""The picture of the metric: a real PNG that shows line, threshold and breach, in the channels that can show one."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from PIL import Image

from alerts import delivery
from alerts.messages.notification import Picture
from alerts.messages.picture import HEIGHT, WIDTH, Chart, draw_chart
from alerts.models import Delivery
from tests.alerts.factories import create_channel, create_rule, evaluate_rule, insert_traffic
from tests.alerts.receivers import receive_mail, receive_webhooks
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.timerange import NS_PER_S, TimeRange

NOW = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
MINUTE_NS = 60 * NS_PER_S
LINE, ALERT, BAND = (0x24, 0x59, 0xB3), (0xC6, 0x28, 0x28), (0xFB, 0xE5, 0xE5)


def draw(points: list[tuple[int, float | None]], threshold: float | None = 0.1) -> Picture:
    time_range = TimeRange(0, 60 * MINUTE_NS)
    firing = TimeRange(50 * MINUTE_NS, 60 * MINUTE_NS)
    last = points[-1][1] if points else None
    mark = (points[-1][0], last) if last is not None else None
    return draw_chart(Chart("Failure rate", time_range, points, mark, threshold, firing, lambda value: f"{value:.0%}"))


def open_image(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.png)).convert("RGB")


def count(image: Image.Image, colour: tuple[int, int, int], box: tuple[float, float, float, float] = (0, 0, 1, 1)) -> int:
    """Count the pixels near a colour within a part of the picture, given in shares of it."""
    width, height = image.size
    part = image.crop((int(box[0] * width), int(box[1] * height), int(box[2] * width), int(box[3] * height)))
    pixels = part.tobytes()
    triples = zip(pixels[::3], pixels[1::3], pixels[2::3], strict=True)
    return sum(all(abs(a - b) < 12 for a, b in zip(pixel, colour, strict=True)) for pixel in triples)


def test_picture_shows_line_threshold_and_the_time_of_the_breach() -> None:
    points: list[tuple[int, float | None]] = [(minute * MINUTE_NS, 0.02) for minute in range(0, 50, 2)]
    picture = draw([*points, (52 * MINUTE_NS, 0.2), (55 * MINUTE_NS, 0.2)])

    image = open_image(picture)

    assert image.size == (2 * WIDTH, 2 * HEIGHT)
    assert count(image, BAND, (0.85, 0.2, 1, 0.8)) > 1000
    assert count(image, BAND, (0, 0, 0.8, 1)) < 200  # the soft edges of red letters
    # The line runs low at first and high at the end; the dashes of the threshold lie across.
    assert count(image, LINE, (0.2, 0.7, 0.8, 1)) > 300
    assert count(image, LINE, (0.2, 0, 0.8, 0.5)) == 0
    assert count(image, ALERT, (0.3, 0.3, 0.8, 0.7)) > 100
    assert count(image, ALERT, (0.85, 0.1, 1, 0.4)) > 100
    assert picture.alt == "Failure rate from 1970-01-01 00:00 to 01:00 UTC, between 2% and 20%; threshold 10%"
    assert len(picture.png) < 40_000


def test_line_does_not_cross_a_gap() -> None:
    with_gap = open_image(draw([(5 * MINUTE_NS, 0.05), (10 * MINUTE_NS, 0.05), (30 * MINUTE_NS, None), (55 * MINUTE_NS, 0.05)]))

    assert count(with_gap, LINE, (0.15, 0, 0.25, 1)) > 10
    assert count(with_gap, LINE, (0.4, 0, 0.8, 1)) == 0


@pytest.mark.parametrize("points", [[], [(5, None)], [(5, 0.0)], [(5, -3.0), (6, 1e18)]])
def test_picture_of_little_or_odd_data_is_still_one(points: list[tuple[int, float | None]]) -> None:
    assert open_image(draw(points, threshold=None)).size == (2 * WIDTH, 2 * HEIGHT)


@pytest.mark.django_db
def test_mail_shows_the_picture_and_apprise_attaches_it(store: Store, settings: Any) -> None:
    insert_traffic(store, NOW, failed=1, ok=99, age_s=1000)
    insert_traffic(store, NOW, failed=5, ok=5)
    with receive_mail() as mail, receive_webhooks() as hook:
        settings.SMTP_URL = mail.url
        channels = [
            create_channel(kind="email", target="ann@example.com"),
            create_channel(name="Apprise", kind="apprise", target=hook.url.replace("http://", "json://")),
        ]
        evaluate_rule(create_rule(*channels).pk, NOW)
        assert all(delivery.deliver(pk, NOW) for pk in delivery.find_due_deliveries(NOW))

    images = [part for part in mail.messages[0].walk() if part.get_content_type() == "image/png"]
    attached = base64.b64decode(hook.bodies[0]["attachments"][0]["base64"])
    assert len(images) == 1
    assert images[0].get_payload(decode=True) == attached
    image = Image.open(io.BytesIO(attached)).convert("RGB")
    assert count(image, LINE) > 30  # the one window before
    html = mail.messages[0].get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert 'alt="Failure rate from 2026-11-20 06:25 to 08:30 UTC, between 1% and 50%; threshold 10%"' in html


@pytest.mark.django_db
@pytest.mark.parametrize("error", [StoreUnavailable("connection refused"), ZeroDivisionError("a fault of ours")])
def test_message_goes_without_its_picture_when_that_cannot_be_drawn(
    store: Store, settings: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    insert_traffic(store, NOW, failed=5, ok=5)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    with receive_mail() as mail:
        settings.SMTP_URL = mail.url
        evaluate_rule(create_rule(create_channel(kind="email", target="ann@example.com")).pk, NOW)
        monkeypatch.setattr("alerts.messages.illustration.metric_series", fail)

        assert delivery.deliver(Delivery.objects.get().pk, NOW)

    assert not [part for part in mail.messages[0].walk() if part.get_content_maintype() == "image"]
