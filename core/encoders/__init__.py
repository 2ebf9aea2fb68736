"""Texts to embeddings: specs, pairs, loading, attention, pooling, batching."""
