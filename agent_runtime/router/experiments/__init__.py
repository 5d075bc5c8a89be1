"""A/B tests over aliases that stand for several models: who gets which arm, and how the arms do.

:func:`assign` draws, :class:`Experiments` is the door to the rest. What is known of a request here is which arm
answered it, how long that took, what it cost and what was thought of it; never what it said.
"""

from agent_runtime.router.experiments.draw import Assignment, assign, unit_of
from agent_runtime.router.experiments.experiments import Experiments
from agent_runtime.router.experiments.report import experiment_families, trial_families
from agent_runtime.router.experiments.tally import Outcome

__all__ = ["Assignment", "Experiments", "Outcome", "assign", "experiment_families", "trial_families", "unit_of"]
