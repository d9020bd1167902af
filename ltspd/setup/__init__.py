"""``ltspctl setup single`` and ``dual``: the server's cards, by whichever program has them.

It is a program of its own, in a unit of its own, because the daemon may not do any of this.
"""
