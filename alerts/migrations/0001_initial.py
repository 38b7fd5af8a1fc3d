import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import alerts.models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tracestore", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="AlertRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                ("metric", models.CharField(max_length=64)),
                ("query", models.TextField(blank=True, default="", max_length=4000, validators=[alerts.models.validate_query])),
                (
                    "window_s",
                    models.PositiveIntegerField(
                        default=300,
                        validators=[
                            django.core.validators.MinValueValidator(60),
                            django.core.validators.MaxValueValidator(604800),
                        ],
                    ),
                ),
                ("comparison", models.CharField(choices=[("above", "above"), ("below", "below")], default="above", max_length=8)),
                ("threshold", models.FloatField()),
                ("hold_s", models.PositiveIntegerField(default=0, validators=[django.core.validators.MaxValueValidator(86400)])),
                (
                    "severity",
                    models.CharField(
                        choices=[("info", "Info"), ("warning", "Warning"), ("critical", "Critical")],
                        default="warning",
                        max_length=16,
                    ),
                ),
                ("enabled", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("inactive", "inactive"),
                            ("pending", "pending"),
                            ("firing", "firing"),
                            ("resolved", "resolved"),
                        ],
                        default="inactive",
                        max_length=16,
                    ),
                ),
                ("state_since", models.DateTimeField(default=django.utils.timezone.now)),
                ("last_value", models.FloatField(null=True)),
                ("last_evaluated_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=1000)),
                ("next_evaluation_at", models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ("evaluation_seq", models.PositiveBigIntegerField(default=0)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="alert_rules", to="tracestore.project"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rule_name", models.CharField(max_length=128)),
                (
                    "severity",
                    models.CharField(choices=[("info", "Info"), ("warning", "Warning"), ("critical", "Critical")], max_length=16),
                ),
                ("metric", models.CharField(max_length=64)),
                ("query", models.TextField(blank=True)),
                ("window_s", models.PositiveIntegerField()),
                ("comparison", models.CharField(choices=[("above", "above"), ("below", "below")], max_length=8)),
                ("threshold", models.FloatField()),
                ("hold_s", models.PositiveIntegerField()),
                ("value", models.FloatField()),
                ("peak_value", models.FloatField()),
                ("started_at", models.DateTimeField()),
                ("resolved_at", models.DateTimeField(null=True)),
                ("resolve_reason", models.CharField(blank=True, max_length=200)),
                ("evidence", models.JSONField(default=dict)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="alerts", to="tracestore.project"
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="alerts", to="alerts.alertrule"
                    ),
                ),
            ],
            options={
                "ordering": ["-started_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="AlertTransition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "from_state",
                    models.CharField(
                        choices=[
                            ("inactive", "inactive"),
                            ("pending", "pending"),
                            ("firing", "firing"),
                            ("resolved", "resolved"),
                        ],
                        max_length=16,
                    ),
                ),
                (
                    "to_state",
                    models.CharField(
                        choices=[
                            ("inactive", "inactive"),
                            ("pending", "pending"),
                            ("firing", "firing"),
                            ("resolved", "resolved"),
                        ],
                        max_length=16,
                    ),
                ),
                ("at", models.DateTimeField()),
                ("value", models.FloatField(null=True)),
                ("threshold", models.FloatField()),
                ("window_start_ns", models.BigIntegerField()),
                ("window_end_ns", models.BigIntegerField()),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("evidence", models.JSONField(default=dict)),
                (
                    "alert",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="transitions", to="alerts.alert"
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="transitions", to="alerts.alertrule"
                    ),
                ),
            ],
            options={
                "ordering": ["at", "id"],
            },
        ),
        migrations.CreateModel(
            name="NotificationChannel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=128)),
                (
                    "kind",
                    models.CharField(
                        choices=[("email", "E-mail"), ("webhook", "Webhook"), ("apprise", "Apprise URL")], max_length=16
                    ),
                ),
                ("target", models.CharField(max_length=2000)),
                ("enabled", models.BooleanField(default=True)),
                ("disabled_reason", models.CharField(blank=True, max_length=1000)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="notification_channels", to="tracestore.project"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "status",
                    models.CharField(
                        choices=[("pending", "pending"), ("delivered", "delivered"), ("failed", "failed")],
                        default="pending",
                        max_length=16,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("next_attempt_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("delivered_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=1000)),
                (
                    "alert",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="alerts.alert"),
                ),
                (
                    "transition",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="alerts.alerttransition"
                    ),
                ),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="alerts.notificationchannel"
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddField(
            model_name="alertrule",
            name="channels",
            field=models.ManyToManyField(blank=True, related_name="rules", to="alerts.notificationchannel"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["project", "-started_at"], name="alerts_aler_project_721250_idx"),
        ),
        migrations.AddIndex(
            model_name="alert",
            index=models.Index(fields=["project", "resolved_at"], name="alerts_aler_project_be74ee_idx"),
        ),
        migrations.AddConstraint(
            model_name="alert",
            constraint=models.UniqueConstraint(
                condition=models.Q(("resolved_at", None)), fields=("rule",), name="one_open_alert_per_rule"
            ),
        ),
        migrations.AddIndex(
            model_name="alerttransition",
            index=models.Index(fields=["rule", "-at"], name="alerts_aler_rule_id_8e554c_idx"),
        ),
        migrations.AddConstraint(
            model_name="notificationchannel",
            constraint=models.UniqueConstraint(fields=("project", "name"), name="channel_name_once_per_project"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["status", "next_attempt_at"], name="alerts_deli_status_712c34_idx"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(fields=("transition", "channel"), name="one_delivery_per_transition_and_channel"),
        ),
        migrations.AddConstraint(
            model_name="alertrule",
            constraint=models.UniqueConstraint(fields=("project", "name"), name="rule_name_once_per_project"),
        ),
    ]
