"""What builds a fleet: Pulumi components, one target each, and the pure builders beside them."""
