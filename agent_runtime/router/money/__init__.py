"""The router's money: what a request costs, what may be spent, and what was.

:class:`Purse` is the one door for the router. :func:`~agent_runtime.router.money.opening.make_purse` makes one.
"""
