"""Looks into requests: is anything private in them, and is what they ask for complex?

Importing it compiles some hundred expressions, about 0.1 s: who may do without it imports it late.
"""

from agent_runtime.router.prompts.classifier import Classifier

__all__ = ["Classifier"]
