"""What the records of an A/B test say, and how sure that is: statistics that hold however often somebody looks.

:mod:`means`, :mod:`shares` and :mod:`paired` have the tests and intervals, :mod:`compare` applies them to an
experiment's arms, :mod:`ruling` says which arm is to be stopped or promoted, :mod:`page` draws it all.
"""
