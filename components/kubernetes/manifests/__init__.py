"""Pure functions from the plan to plain Kubernetes manifests, one module per concern.

A manifest is a dict with the keys of its YAML. A value that only the engine knows may be a Pulumi output: a
builder puts it in its place and never looks into it.
"""
