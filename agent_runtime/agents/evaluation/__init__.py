"""How well a model works as an agent: tasks whose results can be checked, scored for each model."""
