"""Teams: agents that hand work on to each other, to a result, with every step written down.

A team has members and a flow. The flow is plain Python that asks members and does work between: it searches, it runs
tests. Each step is written to a journal before the next begins; a run that broke off goes through its flow again, and
finished steps give what they gave before instead of being done anew.
"""
