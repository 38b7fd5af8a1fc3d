import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tracestore', '0005_saved_view'),
    ]

    operations = [
        migrations.CreateModel(
            name='ErrorState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(max_length=32)),
                ('status', models.CharField(choices=[('open', 'Open'), ('resolved', 'Resolved'), ('ignored', 'Ignored')], default='open', max_length=16)),
                ('resolved_version', models.CharField(blank=True, max_length=128)),
                ('seen_versions', models.JSONField(default=list)),
                ('changed_by', models.CharField(blank=True, max_length=150)),
                ('changed_at', models.DateTimeField()),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='error_states', to='tracestore.project')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'fingerprint'), name='one_state_per_error')],
            },
        ),
    ]
