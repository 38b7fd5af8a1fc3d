"""When versions went live, the first trace of each, and which versions a service has."""

from __future__ import annotations

from dataclasses import dataclass

from tracestore.clickhouse.client import Store
from tracestore.language import Query
from tracestore.queries.conditions import IN_RANGE, Params
from tracestore.queries.predicates import trace_predicate
from tracestore.queries.traces import FINAL_SETTINGS
from tracestore.timerange import DAY_NS, TimeRange

MAX_VERSIONS = 12
# A version that ran within this before the range, or within a time as long as the range, is not new in it.
_LOOK_BACK_NS, _MOST_LOOK_BACK_NS = DAY_NS, 30 * DAY_NS

# Without FINAL: a summary that was replaced says the same of its trace's start and versions, or less.
_FIND_FIRST_SEEN = f"""
SELECT toString(version) AS version, min(toUnixTimestamp64Nano(start_time)) AS first_ns
FROM (SELECT start_time, arrayJoin(versions) AS version FROM traces WHERE {IN_RANGE} AND is_deleted = 0 AND %s)
WHERE version != ''
GROUP BY version
HAVING first_ns >= {{from_ns:Int64}}
ORDER BY first_ns DESC, version
LIMIT {{limit:UInt32}}
"""
_MOST_BESIDE = 50
# A trace belongs to the service of its earliest span; which of its versions is whose only its spans know.
_COUNT_BY_SERVICE = f"""
SELECT service, version, count() AS count, min(start_ns) AS first_ns, groupUniqArrayArray({_MOST_BESIDE})(beside) AS beside
FROM
(
    SELECT services[1] AS service, arrayJoin(versions) AS version, toUnixTimestamp64Nano(start_time) AS start_ns,
        arrayFilter(x -> x != version, versions) AS beside
    FROM traces FINAL
    WHERE {IN_RANGE}
)
WHERE version != ''
GROUP BY service, version
ORDER BY count DESC, service, version
LIMIT {{limit:UInt32}}
{FINAL_SETTINGS}
"""


@dataclass(frozen=True)
class ServiceVersion:
    """How many traces that began in `service`, "" where none is named, ran `version`, and when the first of them started.

    `beside` are versions that ran in the same traces: of another agent or service, and no alternative to it.
    """

    service: str
    version: str
    count: int
    first_ns: int
    beside: list[str]


@dataclass(frozen=True)
class FirstSeen:
    """A version and the start of its first trace."""

    version: str
    first_ns: int


def find_first_seen(
    store: Store, *, project_id: int, time_range: TimeRange, query: Query, limit: int = MAX_VERSIONS
) -> list[FirstSeen]:
    """Return the versions of traces that match whose first trace lies in the range, the newest first.

    What ran before it, by as long as the range or a day, is known and not new. Raises QueryTooExpensive or StoreUnavailable.
    """
    params = Params()
    back_ns = min(max(time_range.end_ns - time_range.start_ns, _LOOK_BACK_NS), _MOST_LOOK_BACK_NS)
    return store.query(
        _FIND_FIRST_SEEN % trace_predicate(query, params),
        FirstSeen,
        project_id=project_id,
        start_ns=max(0, time_range.start_ns - back_ns),
        end_ns=time_range.end_ns,
        from_ns=time_range.start_ns,
        limit=limit,
        **params.values,
    )


def find_service_versions(store: Store, *, project_id: int, time_range: TimeRange, limit: int) -> list[ServiceVersion]:
    """Return the versions that ran in the range with the service in which their traces began, at most `limit`.

    Versions of one service stand together, that with most traces of a version first, and of each the newest first. Raises
    QueryTooExpensive or StoreUnavailable.
    """
    found = store.query(
        _COUNT_BY_SERVICE,
        ServiceVersion,
        project_id=project_id,
        start_ns=time_range.start_ns,
        end_ns=time_range.end_ns,
        limit=limit,
    )
    most = {one.service: one.count for one in reversed(found)}
    return sorted(found, key=lambda one: (-most[one.service], one.service, -one.first_ns, one.version))
