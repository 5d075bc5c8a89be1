"""The router's own page at /: what runs, where requests go and why, what it costs, and a few levers.

The page is plain files (``assets``), which tell nothing and are served to everybody. What it shows comes over one
stream of events (``live``), which one look a second feeds for all who watch. What it can change (``actions``) lasts
until the contract says otherwise (``overrides``), and is written down (``audit``).
"""
