"""Spans of whole traces in, one summary row per trace out. Pure, and computed on columns: no Python loop over spans.

The questions that no span answers alone are decided here, from all spans of a trace, again whenever one arrives late: which
token counts are the same tokens reported twice and which call was made again (calls.py, repeats.py), which tools stand only in
the answers of models (requests.py), whether the run failed and whether it went to a human (outcomes.py), and what it cost
(costs.py). docs/outcome.md explains the rules to users.
"""
