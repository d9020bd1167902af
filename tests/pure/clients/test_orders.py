"""Orders: a client's revision changes when what it shall do or its settings change, and only then."""

from ltspd.clients.table import Order, Orders

MAC, OTHER = "52:54:00:00:00:01", "52:54:00:00:00:02"


def test_revisions() -> None:
    before = Orders("a")
    assert before.of(MAC) == Order("a")
    with_order = Orders("a", {MAC: Order("1", "restart")})
    assert with_order.of(MAC) == Order("a.1", "restart")
    assert with_order.of(OTHER) == before.of(OTHER)
    again = Orders("a", {MAC: Order("2", "restart")})
    assert len({each.of(MAC).revision for each in (before, with_order, again, Orders("b"))}) == 4
