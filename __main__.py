"""The Pulumi program: load the stack's FleetSpec, build the Fleet, export its contract."""

from pathlib import Path

import pulumi

from components.fleet import Fleet
from components.stack_config import load_stack_spec
from fleet_spec.errors import PaddockError

try:
    spec = load_stack_spec()
    fleet = Fleet("fleet", spec=spec, stack=pulumi.get_stack(), project=Path(__file__).parent.resolve())
except PaddockError as error:
    # The engine shows a RunError as its text alone: the mistake is in the config, not in this program.
    raise pulumi.RunError(str(error)) from None

pulumi.export("fleet", fleet.contract)
pulumi.export("fleetSecrets", fleet.secrets)
