import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('tracestore', '0004_privacy'),
    ]

    operations = [
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80)),
                ('querystring', models.TextField(blank=True)),
                ('is_shared', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('owner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_views', to='tracestore.project')),
            ],
            options={
                'ordering': ('name', 'pk'),
                'constraints': [
                    models.UniqueConstraint(fields=('project', 'owner', 'name'), name='one_view_of_a_name'),
                    models.UniqueConstraint(condition=models.Q(('owner', None)), fields=('project', 'name'), name='one_view_of_a_name_of_nobody'),
                ],
            },
        ),
    ]
