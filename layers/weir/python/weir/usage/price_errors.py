"""What goes wrong with prices."""

from weir.runtime.errors import Conflict, Invalid, NotFound, PreconditionFailed


class PriceNotFound(NotFound):
    """There is no price of this id."""

    slug, title = "price-not-found", "No such price"


class PriceExists(Conflict):
    """There is a price of the same model, region and tier from the same moment on; ``price_id`` tells which."""

    slug, title = "price-exists", "The price is there already"


class PriceChanged(PreconditionFailed):
    """Somebody else has changed it since it was read."""

    slug, title = "changed", "Changed since"


class Importing(Conflict):
    """Prices are being imported; carries ``retry_after``."""

    slug, title = "importing", "Prices are being imported"


class PricesRefused(Invalid):
    """A file of prices can't be taken, and nothing of it was; ``errors`` name each line or entry."""

    slug, title = "prices-refused", "The prices can't be taken"
