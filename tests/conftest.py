"""What every layer of tests shares."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Machines that run tests may be busy: no verdict may depend on how fast an example was made or run.
settings.register_profile("paddock", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50)
settings.load_profile("paddock")
