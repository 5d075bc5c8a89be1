"""Tools that do something, as plain typed functions that any agent can be given.

Each module holds one: exact calculation, analysis of code, code and tests in a sandbox, search in a folder, pages of
allowed hosts, search in the web. ``catalogue`` gives them by name.
"""
