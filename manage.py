#!/usr/bin/env python
"""Command line of Tracestore; `manage.py up` starts everything."""

import gc
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracestore.settings")
    if sys.argv[1:2] == ["up"]:
        gc.disable()  # until all is loaded (tracestore/process/server.py): a tenth of a start goes into looking for garbage there
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError

    try:
        execute_from_command_line(sys.argv)
        return
    except ImproperlyConfigured as error:
        said = str(error)
    except OperationalError as error:
        reason = " ".join(str(error).split())
        said = f"cannot use the relational database (DATABASE_URL): {reason}. `manage.py up` prepares it at its start."
    print(f"tracestore: {said}", file=sys.stderr)
    sys.exit(2)  # as for wrong arguments; 1 would say of `verdict` that a version is worse


if __name__ == "__main__":
    main()
