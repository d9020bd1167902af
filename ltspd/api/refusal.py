"""Refusals under the standard D-Bus error names, which every binding knows."""

from ltspd.errors import LtspError


class Refusal(LtspError):
    """A call that can't be served; ``standard`` is the last part of an org.freedesktop.DBus.Error name."""

    def __init__(self, standard: str, message: str) -> None:
        """Keep the error's name beside its sentence."""
        super().__init__(message)
        self.standard = standard

    @property
    def dbus_name(self) -> str:
        """The full D-Bus error name."""
        return f"org.freedesktop.DBus.Error.{self.standard}"
