"""Our interface on the bus: its nouns, the dispatcher, introspection, authorization."""
