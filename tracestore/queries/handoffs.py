"""Whom a hand-off goes to, as SQL over `spans`: what an attribute or the arguments of its tool say, else what its name says.

Only spans of the signal `agent_handoff` have a target (semconv/signals.py). Attributes are heavy: read them for those alone.
"""

from __future__ import annotations

from tracestore.clickhouse.views.lookups import literal
from tracestore.queries.steps import ARGUMENT_KEYS
from tracestore.semconv.signals import HANDOFF_TARGETS

# The first of several, in JSON or as a list is stored (clickhouse/attributes.py: two bytes before the list, two before its text).
_FIRST = r"""(?s)^(?:\n.\n.)?[\s\["']*([^"',\]\n]+)"""
# How tools for hand-offs in general call the one they hand over to: ADK and Strands, CrewAI, Claude Code, Agno, home-made ones.
_ARGUMENTS = ("agent_name", "coworker", "subagent_type", "member_id", "to_agent", "target_agent", "agent")

_told = ", ".join(f"extract(attributes[{literal(key)}], {literal(_FIRST)})" for key in HANDOFF_TARGETS)
_passed = ", ".join(f"attributes[{literal(key)}]" for key in ARGUMENT_KEYS)
_asked = ", ".join(f"JSONExtractString(passed, {literal(key)})" for key in _ARGUMENTS)
# A span that is a call itself stays one.
IS_HANDOFF = "signal = 'agent_handoff' AND kind NOT IN ('agent', 'llm', 'embedding')"
TOLD_TARGET = f"""arrayFirst(x -> x != '', arrayConcat([{_told}],
        arrayMap(passed -> arrayFirst(x -> x != '', [{_asked}]), arrayFilter(x -> startsWith(x, '{{'), [{_passed}]))))"""
# The name of a tool that names the agent.
TARGET_OF_TOOL = r"^(?:transfer_(?:back_)?to_|handoff_to_|hand_off_to_)(.+)$"
# The tool `transfer_to_agent` says in its arguments which agent it means.
TARGET_BY_NAME = rf"""if(signal != 'agent_handoff', '', arrayFirst(x -> x NOT IN ('', 'agent'), [
        extract(tool, {literal(TARGET_OF_TOOL)}),
        extract(name, '^handoff to (.+)$'), extract(name, ' → (.+?)(?:\\.handoff)?$')]))"""
