"""The identity table: its keys and access patterns. DynamoDB itself is spoken to by ``runtime.dynamodb``.

| item | pk | sk | read by |
|---|---|---|---|
| user | USER#id | USER | id; ``list`` USERS + ``at`` NAME in index ``listing``: all, or by the beginning of the name |
| name | NAME#username | NAME | log-in, and that no two users share one |
| e-mail | EMAIL#address | EMAIL | log-in by a provider, and that no two users share one |
| API key | USER#owner | KEY#id | owner; the key's text names its owner, so the authorizer gets both in one call |
| keys made | USER#owner | KEYS | that nobody makes a key between another's count of the live ones and its write |
| session | USER#id | SESSION#id | refresh; all of a user, to end them |
| identity | PROVIDER#name#subject | IDENTITY | log-in by a provider; ``list`` IDENTITIES#user id in index ``listing`` |
| revocation | REVOKED | time#what#id | the authorizer, those since it last looked |
| uses | USES#jti | USES | counted by the authorizer |
| attempts | ATTEMPTS#hash | window | counted before a password is looked at |
| OAuth state | STATE#hash | STATE | the callback, once |
| OAuth code | CODE#hash | CODE | the token route, once |
| audit entry | AUDIT#yyyy-mm | time#id | by month, newest first |
| first admin | ADMIN | ADMIN | that the first admin is made once |
| admins | ADMINS | ADMINS | the number of admins who can log in, counted in the transactions that change it |
| gone | USER#id | GONE | that the id of a deleted user is nobody else's while the audit may name it |

Every item carries ``schema``; what ends by itself carries ``ttl`` (epoch seconds), and is checked on read, for DynamoDB
deletes late.
"""

from weir.runtime import aws
from weir.runtime.dynamodb import Table
from weir.runtime.settings import settings

SCHEMA = 1
Key = dict[str, str]


def table() -> Table:
    """The stack's identity table."""
    return Table(aws.client("dynamodb"), settings(needs=("identity_table",)).identity_table)


def user_key(user_id: str) -> Key:
    """The key of a user."""
    return {"pk": f"USER#{user_id}", "sk": "USER"}


def name_key(username: str) -> Key:
    """The key of a user name, in its stored form."""
    return {"pk": f"NAME#{username}", "sk": "NAME"}


def email_key(email: str) -> Key:
    """The key of an e-mail address, in its stored form."""
    return {"pk": f"EMAIL#{email}", "sk": "EMAIL"}


def api_key_key(owner: str, key_id: str) -> Key:
    """The key of an API key."""
    return {"pk": f"USER#{owner}", "sk": f"KEY#{key_id}"}


def session_key(user_id: str, session_id: str) -> Key:
    """The key of a session."""
    return {"pk": f"USER#{user_id}", "sk": f"SESSION#{session_id}"}


def identity_key(provider: str, subject: str) -> Key:
    """The key of a user of a provider."""
    return {"pk": f"PROVIDER#{provider}#{subject}", "sk": "IDENTITY"}


def uses_key(jti: str) -> Key:
    """The key of the uses of a token."""
    return {"pk": f"USES#{jti}", "sk": "USES"}


def state_key(digest: str) -> Key:
    """The key of a log-in under way at a provider."""
    return {"pk": f"STATE#{digest}", "sk": "STATE"}


def code_key(digest: str) -> Key:
    """The key of a code to be changed for tokens."""
    return {"pk": f"CODE#{digest}", "sk": "CODE"}


def gone_key(user_id: str) -> Key:
    """The key of what is left of a deleted user."""
    return {"pk": f"USER#{user_id}", "sk": "GONE"}


ADMIN_KEY: Key = {"pk": "ADMIN", "sk": "ADMIN"}
ADMINS_KEY: Key = {"pk": "ADMINS", "sk": "ADMINS"}
REVOKED = "REVOKED"
USERS = "USERS"
