"""The Docker target: a fleet as containers of one host, through pulumi-docker or as a compose file."""
