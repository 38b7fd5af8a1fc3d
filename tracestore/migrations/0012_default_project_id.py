"""Keep the id 1 from being given out: the default project has it by name, of which PostgreSQL's sequence hears nothing.

Without this the first project that somebody makes is refused. Where one was made already, an id is left out.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def take_first_id(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SELECT nextval(pg_get_serial_sequence('tracestore_project', 'id'))")


class Migration(migrations.Migration):
    dependencies = [("tracestore", "0011_reception")]

    operations = [migrations.RunPython(take_first_id, migrations.RunPython.noop)]
