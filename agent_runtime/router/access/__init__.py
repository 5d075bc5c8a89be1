"""Who may ask the router for what: keys and what they allow, rate limits, and the directory that holds secrets.

The door is :class:`~agent_runtime.router.access.access.Access`; it reads keys from the contract and from a
:class:`~agent_runtime.router.access.secrets_directory.SecretsDirectory`. What a key may do in a minute is
counted by :class:`~agent_runtime.router.access.rates.RateLimits`.

Where no key is asked for, the names in Host and Origin are what keeps web pages out (see ``guard``). Where keys
are asked for, the key does: the router is then known by names that nobody can list beforehand, and a page from
anywhere may ask, since a browser adds no key by itself. So with keys asked for:

- Host and Origin refuse nothing, and every Origin, ``null`` too, is told that its page may read the answer;
- a preflight (OPTIONS with an Origin) is answered without a key, because browsers send none with it;
- ``Access-Control-Allow-Credentials`` is never sent: no cookie and no password of a browser's may count.
"""
