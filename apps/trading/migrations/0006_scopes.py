import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.ids


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("trading", "0005_ledger_and_rebalances"),
    ]

    operations = [
        migrations.CreateModel(
            name="ScopeControl",
            fields=[
                ("scope", models.CharField(max_length=80, primary_key=True, serialize=False)),
                ("halted", models.BooleanField(default=False)),
                ("version", models.IntegerField(default=0)),
                ("reason", models.CharField(blank=True, max_length=500)),
                ("by", models.CharField(blank=True, max_length=150)),
                ("changed_at", models.DateTimeField()),
            ],
            options={"ordering": ["scope"]},
        ),
        migrations.CreateModel(
            name="CancelOrder",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("selection", models.JSONField()),
                ("reason", models.CharField(max_length=500)),
                ("by", models.CharField(max_length=150)),
                ("at", models.DateTimeField()),
                (
                    "venue",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="cancel_orders", to="trading.venue"
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.CreateModel(
            name="ScopeHalt",
            fields=[
                (
                    "id",
                    models.UUIDField(default=apps.core.ids.new_id, editable=False, primary_key=True, serialize=False),
                ),
                ("reason", models.CharField(max_length=500)),
                ("halted_by", models.CharField(max_length=150)),
                ("halted_at", models.DateTimeField()),
                ("automatic", models.BooleanField(default=False)),
                ("version", models.IntegerField()),
                ("effective_at", models.DateTimeField(null=True)),
                ("requested_by_name", models.CharField(blank=True, max_length=150)),
                ("requested_at", models.DateTimeField(null=True)),
                ("request_reason", models.CharField(blank=True, max_length=500)),
                ("request_expires_at", models.DateTimeField(null=True)),
                ("resumed_by", models.CharField(blank=True, max_length=150)),
                ("approved_by_name", models.CharField(blank=True, max_length=150)),
                ("resumed_at", models.DateTimeField(null=True)),
                ("resume_reason", models.CharField(blank=True, max_length=500)),
                (
                    "approved_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "control",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="halts", to="trading.scopecontrol"
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-halted_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(resumed_at=None), fields=("control",), name="scope_halt_open_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(approved_by=None) | ~models.Q(approved_by=models.F("requested_by")),
                        name="scope_resume_two_people",
                    ),
                ],
            },
        ),
    ]
