"""Numbers of many traces: `definitions` says what each is, `series` gives one over time, `groups` many in one read for alerts.

`sources` chooses where a number is read from: `parts` of `traces`, or `rollups`, which hold the same sums by minute and hour;
`windows` reads one for many windows of time at once.
"""
