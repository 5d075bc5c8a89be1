"""Which replica a request goes to, when none may have it, and where it waits until one may.

Pure rules, without a network (the look-up of names apart): the state of endpoints and models uses them.
"""
