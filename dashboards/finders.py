"""Serves plotly.js from the installed plotly package, so that no page needs a CDN and the repository carries no copy."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage

STATIC_PATH = "dashboards/plotly.min.js"


class PlotlyFinder(BaseFinder):
    """Finds that one file: the package holds 10 MB of data sets beside it that nobody should collect."""

    def __init__(self) -> None:
        spec = find_spec("plotly")
        assert spec is not None
        assert spec.origin is not None
        self.storage = FileSystemStorage(location=Path(spec.origin).parent / "package_data")
        self.storage.prefix = "dashboards"  # type: ignore[attr-defined]  # collectstatic puts it before the file's name

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = self.storage.path("plotly.min.js") if path == STATIC_PATH else ""
        return [found] if find_all and found else found or []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[Any]:
        yield "plotly.min.js", self.storage
