"""What the story is made of: models, versions, tools, products, articles and sentences. Only data."""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True)
class Model:
    """A model as the agent calls it. `speed` is output tokens a second; `scope` the instrumentation that records its calls."""

    provider: str
    name: str
    answers_as: str
    host: str
    scope: str
    first_chunk_s: float
    speed: float
    reasoning_share: float = 0.0
    cache_share: float = 0.0


_OPENAI = "opentelemetry.instrumentation.openai_v2"
GPT_41_MINI = Model("openai", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "api.openai.com", _OPENAI, 0.45, 95, 0, 0.5)
GPT_5_MINI = Model("openai", "gpt-5-mini", "gpt-5-mini-2025-08-07", "api.openai.com", _OPENAI, 0.7, 110, 0.35, 0.6)
GPT_5 = Model("openai", "gpt-5", "gpt-5-2025-08-07", "api.openai.com", _OPENAI, 1.6, 70, 0.6, 0.5)
GEMINI_FLASH = Model(
    "gcp.gemini", "gemini-2.5-flash", "gemini-2.5-flash", "generativelanguage.googleapis.com",
    "opentelemetry.instrumentation.google_genai", 0.5, 160, 0.2, 0.3,
)  # fmt: skip
CLAUDE_SONNET = Model(
    "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "api.anthropic.com",
    "opentelemetry.instrumentation.anthropic", 1.2, 62, 0, 0.7,
)  # fmt: skip
CLAUDE_HAIKU = Model(
    "anthropic", "claude-haiku-4-5", "claude-haiku-4-5-20251001", "api.anthropic.com",
    "opentelemetry.instrumentation.anthropic", 0.5, 130, 0, 0.6,
)  # fmt: skip
# Fine-tuned and served in-house: nobody publishes a price for it.
ROUTER = Model("ollama", "support-router-8b", "support-router-8b", "models.internal.example", "support_agent.llm", 0.12, 80)
EMBEDDER = Model("openai", "text-embedding-3-small", "text-embedding-3-small", "api.openai.com", _OPENAI, 0.09, 1)


@dataclass(frozen=True)
class Version:
    """One deployment. `age_days` before now it went to production; rates are 0 to 1."""

    name: str
    age_days: float
    models: tuple[tuple[Model, float], ...]
    prompt_version: str
    slowness: float
    wordiness: float
    refund_timeout_rate: float
    gives_up_rate: float
    escalation_rate: float


VERSIONS = (
    Version("v1", 7.0, ((GPT_41_MINI, 1.0),), "3", 1.0, 1.0, 0.02, 0.05, 0.04),
    Version("v2", 4.6, ((GPT_5_MINI, 0.65), (GEMINI_FLASH, 0.2), (CLAUDE_HAIKU, 0.15)), "4", 0.85, 1.0, 0.015, 0.05, 0.03),
    # The bad one: a dearer model, a longer prompt, and a new payment gateway client that gives up after eight seconds.
    Version("v3", 2.0, ((CLAUDE_SONNET, 0.7), (GPT_5, 0.3)), "5", 1.35, 1.7, 0.55, 0.6, 0.09),
)
BILLING_VERSION = "2.4.1"

SYSTEM_PROMPTS = {
    "3": "You are the support assistant of Nordlicht, an online shop for outdoor gear. Be brief and friendly. Look the order up "
    "before you talk about it. Refund only within 30 days of delivery. Hand over to a human when the customer asks for one.",
    "4": "You are the support assistant of Nordlicht, an online shop for outdoor gear. Be brief and friendly, answer in the "
    "customer's language. Look the order up before you talk about it. Quote the help article you rely on. Refund only within 30 "
    "days of delivery and never more than was paid. Hand over to a human when the customer asks for one.",
    "5": "You are the support assistant of Nordlicht, an online shop for outdoor gear. Think step by step and explain your "
    "reasoning to the customer. Answer in the customer's language. Look the order up before you talk about it. Quote the help "
    "article you rely on, with its title. Refund only within 30 days of delivery and never more than was paid; tell the customer "
    "which account the money goes to and how long it takes. Offer a voucher where a refund is not possible. Hand over to a human "
    "when the customer asks for one, or when a tool fails.",
}
BILLING_PROMPT = (
    "You check refund requests of the support agent against the payment on file. Answer approve or decline, and one reason."
)
ROUTER_PROMPT = "Answer with one word: order, refund, product, complaint or other."


@dataclass(frozen=True)
class Tool:
    """A tool offered to the model: parameter name -> (JSON type, description)."""

    description: str
    parameters: dict[str, tuple[str, str]]


TOOLS = {
    "lookup_order": Tool("Find an order by its number.", {"order_id": ("string", "Order number, NL- and five digits.")}),
    "refund": Tool(
        "Pay an order back to the account it was paid from.",
        {
            "order_id": ("string", "Order number."),
            "amount": ("number", "Amount in EUR, at most what was paid."),
            "reason": ("string", "Why, in the customer's words."),
        },
    ),
    "search_kb": Tool("Search the help articles.", {"query": ("string", "What the customer wants to know.")}),
    "send_email": Tool(
        "Send the customer an e-mail.",
        {"to": ("string", "Address."), "subject": ("string", "Subject."), "body": ("string", "Text.")},
    ),
    "escalate_to_human": Tool(
        "Hand the conversation over to a person.",
        {"reason": ("string", "Why a person is needed."), "priority": ("string", "low, normal or high")},
    ),
}

PRODUCTS = (
    ("Fjell 45 backpack", 149.00), ("Lys headlamp", 39.90), ("Storm 2 tent", 329.00), ("Merino base layer", 74.50),
    ("Kaffe camp stove", 89.00), ("Dun sleeping bag", 219.00), ("Tind trekking poles", 64.00), ("Regn rain jacket", 179.00),
    ("Sti trail shoes", 134.95), ("Vann 1 l bottle", 24.90),
)  # fmt: skip
CARRIERS = ("DHL", "PostNord", "UPS", "GLS")
NAMES = (
    "Aino Virtanen", "Ben Carter", "Chloé Martin", "Dmitri Sokolov", "Elif Yılmaz", "Finn Larsen", "Giulia Rossi", "Haruto 佐藤",
    "Ingrid Solberg", "José Álvarez", "Katarzyna Nowak", "Liam O’Brien", "Mei 陈", "Noah Weber", "Olga Petrova", "Priya Sharma",
    "Quentin Dubois", "Rosa Jiménez", "Søren Holm", "Tomáš Novák",
)  # fmt: skip

ARTICLES = (
    (
        "Returns and refunds",
        "You may return unused items within 30 days of delivery. We refund to the original payment "
        "method within five working days.",
    ),
    (
        "Shipping times",
        "Orders placed before 14:00 leave the same day. Delivery takes two to four working days within Europe.",
    ),
    (
        "Warranty on tents",
        "Tents have a five-year warranty on seams and poles. Tears by sharp objects are not covered; we repair them at cost.",
    ),
    (
        "Washing down",
        "Wash down sleeping bags at 30 °C with down detergent and tumble dry with two tennis balls until no lumps remain.",
    ),
    (
        "Changing an address",
        "You can change the delivery address until the parcel has left our warehouse. After that, "
        "ask the carrier to redirect it.",
    ),
    ("Gift cards", "Gift cards are valid for three years and can be combined with one voucher an order."),
    ("Shoe sizes", "Trail shoes run half a size small. If you are between sizes, choose the larger one."),
    ("Re-proofing rain jackets", "Wash the jacket, spray the proofing on while it is wet, and dry it warm for 20 minutes."),
)
QUESTIONS = (
    ("How long do I have to send something back?", 0), ("When will my parcel arrive if I order today?", 1),
    ("A seam of my tent came loose after two years. Is that covered?", 2), ("How do I wash my sleeping bag?", 3),
    ("I moved. Can I still change the delivery address?", 4), ("Can I pay with two gift cards?", 5),
    ("Do the trail shoes run small?", 6), ("My rain jacket soaks through, what can I do?", 7),
    ("Wie lange dauert der Versand nach Österreich?", 1), ("返品は何日以内にできますか？", 0),
)  # fmt: skip
ASK_STATUS = (
    "Where is my order {order}?", "My parcel {order} should have been here yesterday.", "Can you tell me when {order} arrives?",
    "Hi! Any news about {order}? The tracking page does not change.",
)  # fmt: skip
ASK_REFUND = (
    "I would like my money back for {order}, the {product} does not fit.",
    "The {product} from order {order} arrived damaged. Please refund it.",
    "Refund for {order} please. I found the {product} cheaper elsewhere.",
    "I sent the {product} back last week, order {order}. When do I get my money?",
)  # fmt: skip
ASK_HUMAN = (
    "This is the third time I write about this. I want to talk to a person.",
    "Your courier left the parcel in the rain and everything is wet. Who is responsible?",
    "I was charged twice and nobody answers the phone.",
)
THANKS = ("Thanks, that helps!", "Perfect, thank you.", "Great, have a nice day!", "ok thx")
GREETINGS = ("Hi {name},", "Hello {name},", "Dear {name},")
EXPLANATIONS = (
    " Let me explain how I came to this: I looked at the order, at the date of delivery and at our returns policy.",
    " To be thorough, I also checked whether a voucher or an exchange would serve you better, and listed what speaks for each.",
    " Please note that your bank may need some more days to show the amount, which is outside of our control.",
)

GATEWAY_TIMEOUT_STACK = """Traceback (most recent call last):
  File "/app/billing_agent/agent.py", line 88, in settle
    receipt = await self.gateway.refund(order_id=order.id, amount=amount, idempotency_key=key)
  File "/app/billing_agent/gateway.py", line 131, in refund
    response = await self.client.post("/v2/refunds", json=payload, timeout=self.timeout_s)
  File "/usr/local/lib/python3.12/site-packages/httpx/_client.py", line 1859, in post
    return await self.request("POST", url, **kwargs)
httpx.ReadTimeout

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/billing_agent/agent.py", line 92, in settle
    raise PaymentGatewayTimeout(f"no answer from {self.gateway.host} after {self.gateway.timeout_s} s") from error
billing_agent.errors.PaymentGatewayTimeout: no answer from payments.example after 8.0 s
"""
RATE_LIMIT_STACK = """Traceback (most recent call last):
  File "/app/support_agent/llm.py", line 57, in complete
    return await self.client.responses.create(**request)
  File "/usr/local/lib/python3.12/site-packages/openai/_base_client.py", line 1594, in request
    raise self._make_status_error_from_response(err.response) from None
openai.RateLimitError: Error code: 429 - rate limit reached for requests per minute
"""
NOT_FOUND_STACK = """Traceback (most recent call last):
  File "/app/support_agent/tools/orders.py", line 31, in lookup_order
    raise OrderNotFound(order_id)
support_agent.errors.OrderNotFound: no order {order}
"""
SMTP_STACK = """Traceback (most recent call last):
  File "/app/support_agent/tools/email.py", line 24, in send_email
    await smtp.send_message(message)
aiosmtplib.errors.SMTPServerDisconnected: Connection lost
"""
BAD_JSON_STACK = """Traceback (most recent call last):
  File "/app/support_agent/loop.py", line 112, in step
    arguments = json.loads(call.arguments)
  File "/usr/local/lib/python3.12/json/decoder.py", line 356, in raw_decode
    raise JSONDecodeError("Expecting value", s, err.value) from None
json.decoder.JSONDecodeError: Expecting value: line 1 column 74 (char 73)
"""
