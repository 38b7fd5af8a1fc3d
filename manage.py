#!/usr/bin/env python
"""Command line of Tracestore; `manage.py up` starts everything."""

import gc
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracestore.settings")
    if sys.argv[1:2] == ["up"]:
        gc.disable()  # until all is loaded (tracestore/server.py): a tenth of a start goes into looking for garbage there
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"tracestore: {error}")


if __name__ == "__main__":
    main()
