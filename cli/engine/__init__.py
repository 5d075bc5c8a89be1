"""Driving the real Pulumi engine: finding it, giving it a home, running it, reading what it left."""
