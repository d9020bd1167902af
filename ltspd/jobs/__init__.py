"""Long work that is watched and cancelled over the bus: the engine, and what it runs."""
