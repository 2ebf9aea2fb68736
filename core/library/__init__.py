"""Documents that can be asked: reading, cutting, embedding and searching joined in one object.

`core.library.library.Library` has the verbs; `core.library.ingest.SourceFile` is what is added.
"""
