"""What the REST API's views share."""

from __future__ import annotations

import pytest
from rest_framework.exceptions import ValidationError

from tracestore.web.rest import refuse_unknown


def test_unknown_name_is_shown_up_to_forty_characters() -> None:
    with pytest.raises(ValidationError) as refused:
        refuse_unknown(["n" * 10**6], ("name",))

    assert refused.value.detail == {"n" * 40: [f"There is no '{'n' * 40}' here; there are name."]}
