"""The policy pack: ``pulumi preview --policy-pack policies``.

Pulumi runs this file with its own folder first on the import path; the rules are in the package around it.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:] = [str(_HERE.parent), *(place for place in sys.path if Path(place or ".").resolve() != _HERE)]

from pulumi_policy import PolicyPack  # noqa: E402

from policies.pack import Pack  # noqa: E402

if __name__ == "__main__":
    pack = Pack()
    pack.listen()
    PolicyPack("paddock", pack.policies)
