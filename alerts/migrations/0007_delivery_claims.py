from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('alerts', '0006_incident_marks'),
    ]

    operations = [
        migrations.AddField(
            model_name='delivery',
            name='claimed_until',
            field=models.DateTimeField(null=True),
        ),
    ]
