"""The language both halves of Paddock speak: the fleet's spec, the model catalogue, the contract.

Pure data and pure functions. Nothing here imports Pulumi or opens a connection, so the program that
builds a fleet and the programs that use one can share it.
"""
