"""What uses a fleet: the router, and the code that finds a fleet through its contract.

Importing this package loads nothing: each part is imported where it is used, so that a program which needs
one of them does not pay for the others.
"""
