"""The Pulumi program: load the stack's FleetSpec, build the Fleet, export its contract."""

from pathlib import Path

import pulumi

from components.fleet import Fleet
from components.stack_config import load_stack_spec

fleet = Fleet("fleet", spec=load_stack_spec(), stack=pulumi.get_stack(), project=Path(__file__).parent.resolve())

pulumi.export("fleet", fleet.contract)
pulumi.export("fleetSecrets", fleet.secrets)
