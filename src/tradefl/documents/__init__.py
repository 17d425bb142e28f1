"""The JSON documents: one model each, used to write a document and to read it again.

One file a document; :mod:`tradefl.documents.schemas` lists them all, and returns them as JSON
Schema, which the documentation publishes. ``docs/reference/json.md`` explains their keys. Models
are imported where they are used: building one takes longer than many a command.
"""
