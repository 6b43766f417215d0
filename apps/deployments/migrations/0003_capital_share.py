"""The part of the account's equity that a run sizes by."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("deployments", "0002_several_runs"),
    ]

    operations = [
        migrations.AddField(
            model_name="release",
            name="capital_share",
            field=models.DecimalField(decimal_places=6, max_digits=7, null=True),
        ),
    ]
