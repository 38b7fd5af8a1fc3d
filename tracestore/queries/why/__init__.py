"""Why: what is different about some traces, compared with others.

`comparison` is the whole answer: of `fields` the `values`, the distributions of `numbers`, and values that say more together
(`pairs`), each on both `sides`. `attributes` is the slower half, which reads the attributes of all spans.
"""
