"""The Kubernetes target: pure manifest builders, and the components that register what they build."""
