"""The ``paddock`` command: the one room that knows both what builds a fleet and what uses it."""
