from django.apps import AppConfig


class TradingConfig(AppConfig):
    name = "apps.trading"
    label = "trading"

    def ready(self) -> None:
        from apps.policies.grids import tell_lots  # noqa: PLC0415 - models are ready only now
        from apps.policies.modes import tell_modes  # noqa: PLC0415
        from apps.trading.selectors import lot_sizes, venue_modes  # noqa: PLC0415

        tell_lots(lot_sizes)
        tell_modes(venue_modes)
