"""The message in each form: whole, within what the channel takes, and with nothing of a trace that acts as more than text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from alerts.channels.email import build_mail
from alerts.messages.notification import Event, Item, Link, Notification, Picture, Section, one_line
from alerts.messages.rendering.html import render_html
from alerts.messages.rendering.pagerduty import render_pagerduty
from alerts.messages.rendering.slack import render_slack
from alerts.messages.rendering.text import render_text

URL = "https://t.example"
HOSTILE = '<script>alert(1)</script> <!channel> *b* "q" & http://evil.example'
NOTIFICATION = Notification(
    event=Event.FIRING,
    severity="critical",
    title="[critical] Refunds fail: Failure rate 17.62% > 10%",
    lead=["Refunds fail is firing (critical).", "Failure rate is 17.62%, above the threshold of 10% (37 of 210 traces)."],
    facts=[("Since", "2026-11-20 08:25:00 UTC"), ("Traces", "tool:refund")],
    sections=[
        Section("What differs", [Item("Version v3: 37 (100%), against 0 (0%)")], numbered=True),
        Section("How they failed", [Item("TimeoutError: 37 traces", "first seen 08:26:11 UTC", f"{URL}/errors/f00d", "new")]),
    ],
    links=[Link("See exactly these failing traces", f"{URL}/traces?q=status%3Aerror&start=1"), Link("Rule", f"{URL}/r")],
    payload={"rule": {"name": "Refunds fail", "metric": "failure_rate"}},
    key="tracestore-alert-1-12",
)  # fmt: skip
WITH_HOSTILE = replace(
    NOTIFICATION, title=HOSTILE, lead=[HOSTILE], facts=[(HOSTILE, HOSTILE)], sections=[Section(HOSTILE, [Item(HOSTILE, HOSTILE)])]
)


class _Page(HTMLParser):
    """Collects the elements of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data


def texts_of(value: Any) -> list[str]:
    """Return all texts that people get to see in Slack's blocks."""
    if isinstance(value, dict):
        return [text for part in value.values() for text in texts_of(part)]
    if isinstance(value, list):
        return [text for part in value for text in texts_of(part)]
    return [value] if isinstance(value, str) else []


def test_plain_text_says_everything_in_order() -> None:
    assert render_text(NOTIFICATION) == (
        "Refunds fail is firing (critical).\n"
        "Failure rate is 17.62%, above the threshold of 10% (37 of 210 traces).\n"
        "\n"
        "Since: 2026-11-20 08:25:00 UTC\n"
        "Traces: tool:refund\n"
        "\n"
        "What differs:\n"
        "1. Version v3: 37 (100%), against 0 (0%)\n"
        "\n"
        "How they failed:\n"
        "- TimeoutError: 37 traces (new; first seen 08:26:11 UTC)\n"
        "  https://t.example/errors/f00d\n"
        "\n"
        "See exactly these failing traces:\n"
        "https://t.example/traces?q=status%3Aerror&start=1\n"
        "\n"
        "Rule:\n"
        "https://t.example/r\n"
    )


def test_what_a_phone_shows_says_the_likely_cause() -> None:
    cause = "Likely cause: version v3"
    told = replace(NOTIFICATION, lead=[cause, *NOTIFICATION.lead], cause=cause)

    body = render_html(told, []).split("</head>")[1]

    assert body.index(cause) < body.index("<h1")  # a list of mails shows the first text beside the subject
    assert body.count(cause) == 2
    assert render_slack(told)["text"] == f"{NOTIFICATION.title.replace('>', '&gt;')}\n{cause}"
    assert render_pagerduty(told, "key", "host")["payload"]["summary"] == f"{NOTIFICATION.title}. {cause}"


def test_html_says_what_the_text_says_and_fetches_nothing() -> None:
    picture = Picture("Failure rate over two hours", b"png", 600, 200)
    page = _Page(render_html(replace(NOTIFICATION, pictures=[picture]), ["one@t.example"]))

    for said in ("17.62%", "Version v3: 37 (100%), against 0 (0%)", "first seen 08:26:11 UTC", "new", "tool:refund"):
        assert said in page.text
    assert next(attributes["href"] for tag, attributes in page.elements if tag == "a") == NOTIFICATION.links[0].url
    sources = [attributes[name] for _, attributes in page.elements for name in ("src", "background") if name in attributes]
    assert sources == ["cid:one@t.example"]
    assert not {tag for tag, _ in page.elements} & {"link", "script", "style", "iframe", "form"}
    assert "url(" not in render_html(NOTIFICATION, [])


def test_html_offers_to_acknowledge_before_the_reasons_once() -> None:
    ack = Link("Acknowledge", f"{URL}/ack", stands_out=True)
    look = NOTIFICATION.links[0]

    both = render_html(replace(NOTIFICATION, links=[look, Link("Rule", f"{URL}/r"), ack]), [])
    alone = render_html(replace(NOTIFICATION, links=[ack]), [])

    above = [attributes["href"] for tag, attributes in _Page(both[: both.index("What differs")]).elements if tag == "a"]
    assert above == [look.url, ack.url]
    assert alone[: alone.index("What differs")].count(ack.url) == 1


def test_html_is_readable_on_dark_and_narrow_screens() -> None:
    html = render_html(NOTIFICATION, [])

    assert '<meta name="color-scheme" content="light dark">' in html
    assert 'content="width=device-width, initial-scale=1"' in html
    # Only the button sets a background, and then its text colour too: elsewhere the screen's own pair stays together.
    for style in re.findall(r'style="([^"]*)"', html):
        assert ("background" in style) == ("color:#ffffff" in style)
    assert not re.search(r"(?<![-\w])width:\d+px", html)


def test_hostile_texts_stay_texts_in_html_and_slack() -> None:
    page = _Page(render_html(WITH_HOSTILE, []))
    blocks = render_slack(WITH_HOSTILE)

    assert "script" not in {tag for tag, _ in page.elements}
    assert HOSTILE in page.text
    marked = [block["text"] for block in blocks["attachments"][0]["blocks"] if block["type"] == "section"]
    assert marked
    for text in marked:
        assert not re.search(r"<(?!https://t\.example)", text["text"])
    assert "<!" not in blocks["text"]


def test_line_breaks_of_names_cannot_forge_headers_of_a_mail() -> None:
    forged = replace(NOTIFICATION, title=one_line("Rule\r\nBcc: eve@example.com"))

    mail = build_mail(forged, "alerts@example.com", ["ann@example.com"])

    assert mail["Bcc"] is None
    assert mail["Subject"] == "Rule Bcc: eve@example.com"


def test_mail_holds_its_pictures_and_the_messages_of_an_alert_are_one_conversation() -> None:
    pictures = [Picture("Failure rate", b"\x89PNG", 600, 200)]

    mail = build_mail(replace(NOTIFICATION, pictures=pictures), "alerts@example.com", ["ann@example.com", "bob@example.com"])

    assert (mail["To"], mail["Cc"]) == ("ann@example.com", "bob@example.com")
    assert mail["References"] == "<tracestore-alert-1-12@example.com>"
    text, related = mail.iter_parts()
    html, picture = related.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert picture.get_content() == b"\x89PNG"
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in html.get_content()


def test_slack_blocks_keep_to_what_slack_takes() -> None:
    long = "x" * 5000
    many = [Item(long, long, "https://t.example/errors/f00d", "new")] * 40
    blocks = render_slack(
        replace(
            NOTIFICATION,
            title=long,
            lead=[long],
            sections=[Section(long, many)] * 3,
            links=[Link(long, "https://t.example/?" + long)] * 9,
        )
    )["attachments"][0]["blocks"]

    assert len(blocks) <= 50
    for block in blocks:
        if block["type"] == "header":
            assert len(block["text"]["text"]) <= 150
        elif block["type"] == "section":
            assert 0 < len(block["text"]["text"]) <= 3000
        else:
            assert len(block["elements"]) <= 5
            assert all(len(button["text"]["text"]) <= 75 and len(button["url"]) <= 3000 for button in block["elements"])


def test_slack_buttons_lead_to_the_traces_first() -> None:
    blocks = render_slack(NOTIFICATION)["attachments"][0]["blocks"]

    buttons = blocks[-1]["elements"]
    assert [button["url"] for button in buttons] == [link.url for link in NOTIFICATION.links]
    assert buttons[0]["style"] == "primary"
    assert "<https://t.example/errors/f00d|TimeoutError: 37 traces> *new*" in "\n".join(texts_of(blocks))


@pytest.mark.parametrize(
    ("event", "action"),
    [(Event.FIRING, "trigger"), (Event.RULE_ERROR, "trigger"), (Event.ACKNOWLEDGED, "acknowledge"), (Event.RESOLVED, "resolve")],
)
def test_pagerduty_hears_every_event_under_one_key(event: Event, action: str) -> None:
    sent = render_pagerduty(replace(NOTIFICATION, event=event), "k" * 32, "t.example")

    assert (sent["event_action"], sent["dedup_key"], sent["routing_key"]) == (action, "tracestore-alert-1-12", "k" * 32)
    assert ("payload" in sent) == (action == "trigger")


def test_pagerduty_incident_says_what_and_why() -> None:
    sent = render_pagerduty(replace(NOTIFICATION, title="t" * 2000), "k" * 32, "t.example")

    assert len(sent["payload"]["summary"]) == 1024
    assert (sent["payload"]["severity"], sent["payload"]["class"], sent["payload"]["source"]) == (
        "critical",
        "failure_rate",
        "t.example",
    )
    assert sent["payload"]["custom_details"]["What differs"] == ["Version v3: 37 (100%), against 0 (0%)"]
    assert sent["links"][0]["href"] == NOTIFICATION.links[0].url
