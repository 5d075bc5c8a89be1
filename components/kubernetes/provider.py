"""The provider that all of a fleet's objects go through."""

from __future__ import annotations

import pulumi

from components.kubernetes.register import plugin_version

PROVIDER_SETTINGS = ("kubeconfig", "context", "cluster")
"""Settings of the stack's config under ``kubernetes:`` that say which cluster is meant."""


def cluster_provider(name: str, parent: pulumi.Resource) -> pulumi.ProviderResource:
    """A provider for the cluster that the stack's config names, or the current context.

    It changes ConfigMaps and Secrets in place. By default they would be replaced, which for an object with a fixed name
    means that it is gone for a moment, and everything that depends on it is made anew.
    """
    config = pulumi.Config("kubernetes")
    found = {key: config.get_secret(key) for key in PROVIDER_SETTINGS}
    props: dict[str, pulumi.Input[str]] = {key: value for key, value in found.items() if value is not None}
    props |= {"enableConfigMapMutable": "true", "enableSecretMutable": "true"}
    opts = pulumi.ResourceOptions(parent=parent, version=plugin_version())
    return pulumi.ProviderResource("kubernetes", name, props, opts)
