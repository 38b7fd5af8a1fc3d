"""What the store raises. Driver exceptions become these in client.py and go no higher."""


class StoreError(Exception):
    """The store refused or failed; the message is for an operator."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or cannot write now; the same call may succeed later."""


class FolderInUse(StoreUnavailable):
    """Another process has the folder of the embedded engine. The message names it, and says what to do."""


class QueryTooExpensive(StoreError):
    """A query met its time or memory ceiling. The message tells a user what to narrow."""


class BadInsert(StoreError):
    """ClickHouse read the inserted bytes and refused them; the same bytes will be refused again."""


class TraceNotFound(LookupError):
    """No trace or span has that id in this project."""
