"""The provider plugin ``paddock``: the Pulumi engine's hands on this machine."""
