"""The policy of the packages bucket, statement by statement as IAM decides: who is refused what, whoever allows it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.contract import stack

BUCKET = "arn:aws:s3:::weir-packagesbucket"
READS = ("s3:GetObject", "s3:GetObjectVersion")
WRITES = ("s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
A_FILE = f"packages/bert-base/{'a' * 64}"
KEYS = (A_FILE, "packages/unknown/weights.bin", "models/bert/weights.bin", "packages", "weights.bin", "")
STRANGERS = ("user/ann", "role/analyst", "role/aws-service-role/replication", "root")
FUNCTIONS_OF_FILES = {
    *("PackagesFunction", "PackageFilesFunction", "PackageScanFunction"),
    *("PackageSweeperFunction", "PackageImportFunction"),
}


def policy() -> list[dict[str, Any]]:
    """The statements of the bucket's policy."""
    (found,) = (
        one["Properties"]["PolicyDocument"]["Statement"]
        for one in stack.resources("AWS::S3::BucketPolicy").values()
        if one["Properties"]["Bucket"] == {"Ref": "PackagesBucket"}
    )
    return list(found)


def arn(of: Any) -> str:
    """A resource of a statement, of a bucket that is called ``weir-packagesbucket``."""
    text = of["GetAtt"] if "GetAtt" in of else of["Sub"].replace("${PackagesBucket.Arn}", "PackagesBucket.Arn")
    return str(text).replace("PackagesBucket.Arn", BUCKET)


def refused(principal: str, action: str, key: str, *, tls: bool = True) -> list[str]:
    """The statements that refuse a call, by their ids. ``principal`` is a role of the template, or ends an ARN."""
    return [
        statement["Sid"]
        for statement in policy()
        if statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and any(fnmatchcase(action, one) for one in stack.many(statement["Action"]))
        and any(fnmatchcase(f"{BUCKET}/{key}", arn(one)) for one in stack.many(statement["Resource"]))
        and all(holds(kind, told, principal, tls=tls) for kind, told in statement["Condition"].items())
    ]


def holds(kind: str, told: dict[str, Any], principal: str, *, tls: bool) -> bool:
    """Whether one condition of a statement holds for a call."""
    if kind == "Bool":
        return told == {"aws:SecureTransport": str(tls).lower()}
    assert (kind, list(told)) == ("ArnNotEquals", ["aws:PrincipalArn"])
    return principal not in {one["GetAtt"].removesuffix("Role.Arn") for one in told["aws:PrincipalArn"]}


def test_the_policy_allows_nobody_anything() -> None:
    assert {one["Effect"] for one in policy()} == {"Deny"}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("principal", STRANGERS)
def test_what_is_in_the_bucket_is_read_by_nobody_but_weirs_functions(principal: str, key: str) -> None:
    # Given objects that were quarantined, that were never verified, or that others have put under keys of their own
    for action in READS:
        assert refused(principal, action, key)


@pytest.mark.parametrize("principal", STRANGERS)
def test_files_are_written_and_deleted_by_nobody_but_weirs_functions(principal: str) -> None:
    for action in WRITES:
        assert refused(principal, action, A_FILE)
        assert refused(principal, action, "packages/unknown/weights.bin")


@pytest.mark.parametrize("key", ["models/bert/weights.bin", "weights.bin", "packagesandmore/x"])
@pytest.mark.parametrize("principal", STRANGERS)
def test_others_put_and_remove_objects_under_other_keys(principal: str, key: str) -> None:
    for action in WRITES:
        assert not refused(principal, action, key)


@pytest.mark.parametrize("function", sorted(FUNCTIONS_OF_FILES))
def test_weirs_functions_of_files_are_refused_nothing(function: str) -> None:
    for action in READS + WRITES:
        for key in KEYS:
            assert not refused(function, action, key)
            assert refused(function, action, key, tls=False) == ["TlsOnly"]


@pytest.mark.parametrize("function", sorted(set(stack.functions()) - FUNCTIONS_OF_FILES))
def test_other_functions_of_weirs_are_refused_as_strangers_are(function: str) -> None:
    assert all(refused(function, action, A_FILE) for action in READS + WRITES)


def test_whoever_has_rights_on_objects_of_packages_is_let_through() -> None:
    # Given the functions whose roles may read, write or delete objects of the bucket
    having = {
        name
        for name, function in stack.functions().items()
        for statement in stack.statements(function["Policies"])
        if {*READS, *WRITES} & set(stack.many(statement["Action"]))
        and any("PackagesBucket" in str(one) for one in stack.many(statement["Resource"]))
    }
    assert having == FUNCTIONS_OF_FILES
