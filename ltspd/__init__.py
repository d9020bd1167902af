"""ltspd: one daemon that keeps a network boot server right."""

__version__ = "0.5.0"
