"""What the attribute names of all dialects mean; the SQL of the generated views is made from these tables.

`fields` has the names by canonical column, `kinds` tells steps, agents and tools, `calls` providers and what a call's numbers
include, `errors` what failed, `signals` hand-offs and people who are asked, `scores` results of evaluations. `sources` is what
all of them are written in, `keys` lists every name.
"""
