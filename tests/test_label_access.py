"""The attack list: what is refused is refused with 4xx and writes nothing; what is text stays text."""

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from label_servers import Client, photos_in, serving

from al_lightning.people.store import Store

JSON = {"Content-Type": "application/json"}
SQL = "'); DROP TABLE event; --"
GOOD = {
    "annotator": 1,
    "action": "attack-0001",
    "source": "page",
    "seconds": 1,
    "answers": [{"item": 1, "kind": "skip"}],
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Client, Store]]:
    photos = photos_in(tmp_path_factory.mktemp("access"), 3)
    (photos / "secret.txt").write_text("secret", encoding="utf-8")
    with serving(photos, "--classes", "cat") as (address, _):
        client = Client(address)
        client.state_when(lambda state: state["n_items"] == 3 and state["learner"]["phase"] == "failed")
        yield address, client, Store(photos.with_name("photos-labels") / "labels.sqlite")


def written(store: Store) -> tuple[Any, ...]:
    return store.events(), store.classes(), store.annotators(), store.items(), store.draws()


def raw(
    address: str, client: Client, method: str, target: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, bytes]:
    """A request as it is written here: libraries would tidy it."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
    cookie = "; ".join(f"{name}={value}" for name, value in client.http.cookies.items())
    connection.request(method, target, body, {"Cookie": cookie, **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_without_the_token_there_is_nothing(served: tuple[str, Client, Store]) -> None:
    address, client, store = served
    base, before = address.partition("?")[0], written(store)
    (name, value), *others = client.http.cookies.items()
    assert not others
    for cookies in ({}, {name: "x"}, {name: value[:-1]}, {f"{name}0": value}, {name: ""}):
        with httpx.Client(base_url=base, cookies=cookies) as stranger:
            for path in (
                "api/state",
                "api/next?annotator=1",
                "image/1?side=320",
                "static/index.html",
                "nothing",
                "?token=x",
            ):
                answer = stranger.get(path)
                assert answer.status_code == 401, path
                assert "photos" not in answer.text
            for path in ("annotators", "classes", "answers", "undo"):
                assert stranger.post(f"api/{path}", json=GOOD | {"name": "x"}).status_code == 401
            assert "python -m al_lightning.label" in stranger.get("").text
    assert written(store) == before
    answer = httpx.get(address)
    assert (answer.status_code, "photos" in answer.text) == (200, False)
    assert {"httponly", "samesite=strict", "path=/"} <= {
        each.strip().lower() for each in answer.headers["set-cookie"].split(";")
    }


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "[::2]:{port}", ""]
)
def test_a_foreign_host(served: tuple[str, Client, Store], host: str) -> None:
    address, client, store = served
    before, headers = written(store), {"Host": host.format(port=urlsplit(address).port)}
    assert raw(address, client, "GET", "/api/state", headers)[0] == 400
    assert raw(address, client, "GET", address[address.index("/?") :], headers)[0] == 400
    assert raw(address, client, "POST", "/api/answers", headers | JSON, json.dumps(GOOD).encode())[0] == 400
    assert written(store) == before


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "null", ""]
)
def test_a_foreign_origin(served: tuple[str, Client, Store], origin: str) -> None:
    address, client, store = served
    before, headers = written(store), {"Origin": origin.format(port=urlsplit(address).port)} | JSON
    status, body = raw(address, client, "POST", "/api/answers", headers, json.dumps(GOOD).encode())
    assert (status, [*json.loads(body)]) == (403, ["error"])
    answer = client.http.options("/api/answers", headers={"Origin": "http://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert written(store) == before


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/../secret.txt",
            "/static/../../../photos/secret.txt",
            "/static/%2e%2e/%2e%2e/errors.py",
            "/image/../secret.txt",
        ),
        *(
            "/static/..%2f..%2ferrors.py",
            "/static//etc/passwd",
            "/static/%2fetc%2fpasswd",
            "/image/%2e%2e%2fsecret.txt?side=320",
        ),
        *(
            "/image//etc/passwd?side=320",
            "/image/001.png?side=320",
            "/image/1%00?side=320",
            "//etc/passwd",
            "/static/%00",
        ),
        *(
            "/image/99?side=320",
            "/image/0?side=320",
            "/image/-1?side=320",
            f"/image/{'9' * 6000}?side=320",
            "/image/%c2%b2?side=320",
        ),
        *("/image/1", "/image/1?side=10000", "/image/1?side=320&content=ffffffffffff", "/image/1?side[]=320"),
        *("/api/next", "/api/next?annotator=77", "/api/next?annotator=1&n=101", "/api/next?annotator=1&have=1,x"),
        *("/api/next?annotator=1;DROP TABLE event".replace(" ", "%20"), f"/api/next?annotator={2**70}"),
        *(
            "/api/grid?annotator=1",
            "/api/region?annotator=1&items=" + ",".join(["1"] * 201),
            "/api/region?annotator=1&items=1,99",
            "/api/labeled?before=x",
            "/api/no",
        ),
    ],
)
def test_a_path_that_leads_nowhere(served: tuple[str, Client, Store], target: str) -> None:
    address, client, store = served
    before = written(store)
    status, body = raw(address, client, "GET", target, {})
    assert 400 <= status < 500
    assert b"secret" not in body.replace(b"secret.txt", b"")
    assert b"root:" not in body
    assert written(store) == before


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"annotator": 77}, 404),
        ({"annotator": SQL}, 422),
        ({"annotator": True}, 422),
        ({"answers": [{"item": 99, "kind": "skip"}]}, 404),
        ({"answers": [{"item": 1, "kind": "skip"}, {"item": 1, "kind": "label", "class": 9}]}, 404),
        ({"answers": [{"item": 1, "kind": "label"}]}, 422),
        ({"answers": [{"item": 1, "kind": "skip", "class": 1}]}, 422),
        ({"answers": [{"item": 1, "kind": "undo"}]}, 422),
        ({"answers": [{"item": 2**70, "kind": "skip"}]}, 422),
        ({"answers": [{"item": 1, "kind": "skip", "path": "/etc/passwd"}]}, 422),
        ({"answers": []}, 422),
        ({"answers": [{"item": 1, "kind": "skip"}] * 2001}, 422),
        ({"action": "short"}, 422),
        ({"action": SQL}, 422),
        ({"source": "import"}, 422),
        ({"seconds": -1}, 422),
        ({"seconds": "1"}, 422),
        ({"more": 1}, 422),
    ],
)
def test_an_answer_that_cannot_be_is_refused_whole(
    served: tuple[str, Client, Store], change: dict[str, Any], status: int
) -> None:
    _, client, store = served
    before = written(store)
    answer = client.http.post("/api/answers", json=GOOD | change)
    assert (answer.status_code, [*answer.json()]) == (status, ["error"])
    assert answer.json()["error"].count("\n") == 0
    assert written(store) == before


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (JSON, b"x" * 10_000_000, 413),
        (JSON, b'{"name": "' + b"x" * 10_000_000 + b'"}', 413),
        ({"Content-Type": "text/plain"}, json.dumps(GOOD).encode(), 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, json.dumps(GOOD).encode(), 415),
        ({}, json.dumps(GOOD).encode(), 415),
        (JSON, b"", 422),
        (JSON, b"\xff\xfe", 422),
        (JSON, b"[" * 100_000, 422),
        (JSON, json.dumps(GOOD).replace("1", "NaN").encode(), 422),
    ],
)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_body_that_cannot_be(
    served: tuple[str, Client, Store], headers: dict[str, str], body: bytes, status: int, in_pieces: bool
) -> None:
    _, client, store = served
    before = written(store)
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    for path in ("answers", "classes", "undo", "annotators"):
        answer = client.http.post(f"/api/{path}", content=iter(pieces) if in_pieces else body, headers=headers)
        assert (answer.status_code, [*answer.json()]) == (status, ["error"])
    assert client.http.put("/api/answers", json=GOOD).status_code == 405
    assert written(store) == before


def test_who_sends_too_much_hears_of_it(served: tuple[str, Client, Store]) -> None:
    """Also a client that reads no answer before it has sent everything."""
    address, client, _ = served
    status, body = raw(address, client, "POST", "/api/answers", JSON, b"x" * 30_000_000)
    assert (status, [*json.loads(body)]) == (413, ["error"])
    assert raw(address, client, "POST", "/api/answers", JSON | {"Cookie": ""}, b"x" * 30_000_000)[0] == 401


def test_names_stay_text(served: tuple[str, Client, Store]) -> None:
    _, client, store = served
    names = [SQL, "<script>alert(1)</script>", '" onload="', "../../etc", "Ünïcode 🐈"]
    numbers = [client.post("classes", name=f"  {name} ")["id"] for name in names]
    assert [client.post("classes", name=name)["id"] for name in names] == numbers
    assert [store.classes()[number] for number in numbers] == names
    assert {each["name"] for each in client.get("state")["classes"]} == {"cat", *names}
    assert client.post("annotators", name=SQL)["name"] == SQL
    for path, long in (("classes", 61), ("annotators", 41)):
        for name in ("", "  ", "a\nb", "\x00", "x" * long, None, 1):
            answer = client.http.post(f"/api/{path}", json={"name": name})
            assert 400 <= answer.status_code < 500, (path, name)
    assert len(store.classes()) == 1 + len(names)


def test_what_every_answer_says(served: tuple[str, Client, Store]) -> None:
    _, client, _ = served
    image = client.next(1)[0]
    for path in ("/", "/static/index.html", "/api/state", "/nothing", image["url"]):
        answer = client.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers
        kept = {"/static/index.html": "no-cache", image["url"]: "private, max-age=31536000, immutable"}
        assert answer.headers["cache-control"] == kept.get(path, "no-store")
