"""The local target: model servers and the router as looked-after processes of this machine."""
