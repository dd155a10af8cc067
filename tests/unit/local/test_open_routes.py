import pytest

from local.open_routes import main, open_routes, parse

ROUTE = """
  Streams:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        List: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /streams, Method: get%s}}
        Alive: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /health, Method: GET}}
        Aws: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /health/aws, Method: GET, Auth: {Authorizer: NONE}}}
        Login: {Type: Api, Properties: {RestApiId: !Ref Api, Path: /auth/login, Method: post, Auth: {Authorizer: NONE}}}
        Queue: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn}}
"""
BARE_API = "  Api: {Type: AWS::Serverless::Api, Properties: {StageName: v1}}"
GUARDED_API = "  Api: {Type: AWS::Serverless::Api, Properties: {StageName: v1, Auth: {DefaultAuthorizer: Weir}}}"


def template(api: str, auth: str = "", head: str = "") -> str:
    return f"{head}Resources:\n{api}{ROUTE % auth}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (template(BARE_API), ["GET /streams (Streams)"]),
        (template(BARE_API, ", Auth: {Authorizer: Weir}"), []),
        (template(GUARDED_API), []),
        (template(GUARDED_API, ", Auth: {Authorizer: NONE}"), ["GET /streams (Streams)"]),
        (template(GUARDED_API, ", Auth: {Authorizer: Other}"), []),
        (template(BARE_API, head="Globals: {Api: {Auth: {DefaultAuthorizer: Weir}}}\n"), []),
        (template(BARE_API.replace("v1", "v1, DefinitionBody: {}")), ["every route of Api", "GET /streams (Streams)"]),
        (template("").replace("RestApiId: !Ref Api, Path: /streams", "Path: /streams"), ["GET /streams (Streams)"]),
        (template(GUARDED_API).replace("/health/aws", "/healthy"), ["GET /healthy (Streams)"]),
        (template(GUARDED_API).replace("/health/aws", "/health/secrets"), ["GET /health/secrets (Streams)"]),
        (template(GUARDED_API).replace("post", "delete"), ["DELETE /auth/login (Streams)"]),
    ],
    ids=[
        *("bare", "own", "default", "opened", "other", "globals", "definition body", "implicit api"),
        *("look-alike", "below an open one", "other method"),
    ],
)
def test_routes_without_an_authorizer_are_found(text: str, found: list[str]) -> None:
    # Given a template
    # When its routes are looked through
    # Then those that nobody guards are named, but for health and the ways in
    assert open_routes(parse(text)) == found


def test_the_command_refuses_an_open_template(tmp_path, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    # Given an open and a guarded template
    for text, status in ((template(BARE_API), 1), (template(GUARDED_API), 0)):
        file = tmp_path / "template.yaml"
        file.write_text(text)
        monkeypatch.setattr("sys.argv", ["open_routes", str(file)])
        # When the command looks at it
        # Then its status says whether to go on, and the open routes are listed
        assert main() == status
    assert "GET /streams (Streams)" in capsys.readouterr().err
