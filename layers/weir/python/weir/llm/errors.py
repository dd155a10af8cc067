"""What goes wrong with models, their providers and the routes to them."""

from weir.runtime.errors import Conflict, Invalid, NotFound, PreconditionFailed, Unavailable, UpstreamFailed


class ModelUnknown(NotFound):
    """No route leads from this name, or none for this caller: the same words for both."""

    slug, title = "model-unknown", "No such model"


class NoProvider(Unavailable):
    """A route is there, and every provider that it leads to is switched off or gone."""

    slug, title = "no-provider", "No provider at the moment"


class ProviderNotFound(NotFound):
    """There is no provider of this name."""

    slug, title = "provider-not-found", "No such provider"


class RouteNotFound(NotFound):
    """There is no route of this name."""

    slug, title = "route-not-found", "No such route"


class NameTaken(Conflict):
    """There is one of this name already."""

    slug, title = "name-taken", "The name is taken"


class InUse(Conflict):
    """Routes lead to it."""

    slug, title = "in-use", "Routes lead to it"


class Changed(PreconditionFailed):
    """Somebody else has changed it since it was read."""

    slug, title = "changed", "Changed since"


class AddressForbidden(Invalid):
    """An address that providers may not have, by rule or for want of an allowance."""

    slug, title = "address-forbidden", "Not an address of a provider"


class KeyMissing(UpstreamFailed):
    """The provider's key can't be had: none was ever given, or its secret is gone."""

    slug, title = "key-missing", "The provider has no key"
