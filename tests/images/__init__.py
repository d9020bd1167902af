"""Layers as clients see them: random trees, real mounts, real package trees."""
