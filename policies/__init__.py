"""Rules that a fleet's manifests and config must keep to, in one place for the plan, the engine and the tests."""
