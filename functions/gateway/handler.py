"""The models' address, as an ASGI app that ``run.sh`` has uvicorn serve: Lambda's Python can't stream by itself.

The rules are in ``weir.gateway``. What the app needs it makes when it starts, before the first request.
"""

from weir.gateway.app import Gateway
from weir.gateway.wiring import parts
from weir.runtime.settings import settings

NEEDED = (
    "identity_table",
    "signing_secret_arn",
    "key_pepper_secret_arn",
    "token_issuer",
    "usage_table",
    "llm_table",
    "idempotency_table",
)
settings(needs=NEEDED)
app = Gateway(parts)
