from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("trading", "0009_parent_costs")]

    operations = [
        migrations.AddField(
            model_name="tradingcontrol",
            name="cancel_at",
            field=models.DateTimeField(null=True),
        ),
    ]
