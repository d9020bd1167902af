"""When the layers above a base are worth being folded into a new one, and what is above it then. Pure."""

from ltspd.model.image import Layer

# The bytes above the base cost clients nothing by themselves, but what they hide is kept on the server.
MOST_SHARE = 0.3
# Clients mount each layer, and look through all of them for a name that is nowhere.
MOST_ABOVE = 8


def reason(layers: tuple[Layer, ...]) -> str:
    """Return why a generation with these layers should be folded, or an empty string."""
    if not layers:
        return ""
    base, above = layers[0], layers[1:]
    if len(above) >= MOST_ABOVE:
        return f"{len(above)} layers above the base"
    share = sum(layer.size for layer in above) / max(1, base.size)
    if share > MOST_SHARE:
        return f"the layers above the base have {share:.0%} of its size"
    return ""


def rebased(current: tuple[Layer, ...], folded: tuple[Layer, ...], new: Layer) -> tuple[Layer, ...] | None:
    """Return the current layers with the folded ones replaced, or None if those are not its lowest any more.

    A build that ran meanwhile put its layer above the same ones, so it fits on the new base as well.
    """
    if current[: len(folded)] != folded:
        return None
    return (new, *current[len(folded) :])
