from django.apps import AppConfig


class ControlplaneConfig(AppConfig):
    name = "controlplane"

    def ready(self) -> None:
        from controlplane import checks  # noqa: F401, PLC0415 - importing registers them, once the apps are loaded
