"""Everything that proves ltspd right; nothing here is installed."""

from pathlib import Path

# The top of the working tree.
REPOSITORY = Path(__file__).resolve().parents[1]
