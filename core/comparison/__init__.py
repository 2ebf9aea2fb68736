"""Two rankings of one query: how far they agree, where they part, and by how much."""
