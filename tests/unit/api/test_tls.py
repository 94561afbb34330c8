"""The listening socket with TLS: versions, client certificates, and what a renewal changes."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, TCPConnector

from remediator.access.loading import Access, AccessFiles, load_access
from remediator.api import server
from tests.certificates import Authority, Pair
from tests.unit.access.files import entry, written
from tests.unit.api.service import Service, running

WANTED = {"engaged": True, "comment": "x"}


@dataclass
class Place:
    """A folder with an authority, and the service's files in it."""

    folder: Path
    authority: Authority

    def access(self, **fields: str) -> Access:
        fields = {"cert_file": "server.crt", "key_file": "server.key", **fields}
        text = ", ".join(f"{name}: {value}" for name, value in fields.items())
        (self.folder / "web.yaml").write_text(f"tls_server_config: {{{text}}}", encoding="utf-8")
        known = self.folder / "credentials.yaml"
        return load_access(AccessFiles(known if known.exists() else None, web_config=self.folder / "web.yaml"))

    def verifying(self, **fields: str) -> Access:
        return self.access(
            client_auth_type=fields.pop("auth", "RequireAndVerifyClientCert"), client_ca_file="authority.pem", **fields
        )

    def client(self, pair: Pair | None = None, **versions: ssl.TLSVersion) -> ClientSession:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        for name, version in versions.items():
            setattr(context, name, version)
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return ClientSession(connector=TCPConnector(ssl=context))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    authority = Authority(tmp_path)
    authority.server()
    return Place(tmp_path, authority)


async def asked(service: Service, client: ClientSession, **options: Any) -> int:
    url = f"https://127.0.0.1:{service.port}"
    async with client.request(options.pop("method", "GET"), url + "/api/v1/pause", **options) as answer:
        await answer.read()
        return answer.status


async def paused(service: Service, client: ClientSession) -> tuple[int, str]:
    status = await asked(service, client, method="POST", json=WANTED)
    return status, (await service.store.kill_switch()).by


async def test_it_is_served_with_the_certificate_and_not_without_tls(place: Place) -> None:
    async with running(access=place.access()) as service, place.client() as client, ClientSession() as plain:
        assert await asked(service, client) == 200
        with pytest.raises(ClientError):
            await plain.get(f"http://127.0.0.1:{service.port}/-/healthy")


@pytest.mark.parametrize(
    ("least", "most", "is_spoken"),
    [("TLS13", "TLS13", False), ("TLS12", "TLS12", True), ("TLS12", "TLS13", True)],
)
async def test_only_the_versions_that_are_asked_for_are_spoken(
    place: Place, least: str, most: str, is_spoken: bool
) -> None:
    access = place.access(min_version=least, max_version=most)
    async with running(access=access) as service, place.client(maximum_version=ssl.TLSVersion.TLSv1_2) as client:
        if is_spoken:
            assert await asked(service, client) == 200
        else:
            with pytest.raises(ClientError):
                await asked(service, client)


async def test_a_client_certificate_is_required_and_verified(place: Place, tmp_path_factory: Any) -> None:
    stranger = Authority(tmp_path_factory.mktemp("other"), "other").client("eve", "eve")
    async with running(access=place.verifying()) as service:
        for pair in (None, stranger):
            async with place.client(pair) as client:
                with pytest.raises(ClientError):
                    await asked(service, client)
        async with place.client(place.authority.client("ada", "ada.example")) as client:
            assert await paused(service, client) == (200, "ada.example"), "as with Prometheus: whoever is verified"


@pytest.mark.parametrize(("sans", "is_let_in"), [(["a.b"], False), (["a.b", "spiffe://x/am"], True), ([], False)])
async def test_only_the_names_that_are_allowed_are_let_in(place: Place, sans: list[str], is_let_in: bool) -> None:
    access = place.verifying(client_allowed_sans="['spiffe://x/am', 10.0.0.1]")
    async with running(access=access) as service, place.client(place.authority.client("am", *sans)) as client:
        if is_let_in:
            assert await asked(service, client) == 200
        else:
            with pytest.raises(ClientError):
                await asked(service, client)


async def test_a_certificate_is_a_person_by_the_name_of_an_entry(place: Place) -> None:
    written(
        place.folder,
        entry("ada", client_name="'spiffe://people/ada'", may="[operate]"),
        entry("am", client_name="am.shop.svc", namespaces="[shop]"),
    )
    cases = {
        ("spiffe://people/ada",): (200, "spiffe://people/ada"),
        ("am.shop.svc",): (403, "spiffe://people/ada"),
        ("eve.example",): (401, "spiffe://people/ada"),
        ("ada@example.org",): (401, "spiffe://people/ada"),
        ("am.shop.svc", "spiffe://people/ada"): (401, "spiffe://people/ada"),
    }
    async with running(access=place.verifying(auth="VerifyClientCertIfGiven")) as service:
        for sans, expected in cases.items():
            async with place.client(place.authority.client("c", *sans)) as client:
                assert await paused(service, client) == expected
        async with place.client() as client:
            assert (await paused(service, client))[0] == 401
            assert await asked(service, client) == 200, "reading is open"


async def test_a_wrong_token_is_refused_also_beside_a_good_certificate(place: Place) -> None:
    written(place.folder, entry("ada", client_name="ada", may="[operate]"))
    pair = place.authority.client("ada", "ada")
    async with running(access=place.verifying()) as service, place.client(pair) as client:
        headers = {"Authorization": "Bearer wrong"}
        assert await asked(service, client, method="POST", json=WANTED, headers=headers) == 401
        assert await asked(service, client, method="POST", json=WANTED) == 200


async def serial(service: Service, client_context: ssl.SSLContext) -> int:
    """Of the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", service.port, ssl=client_context)
    shown = int(writer.get_extra_info("peercert")["serialNumber"], 16)
    writer.close()
    return shown


async def test_a_renewed_certificate_is_shown_to_new_connections_and_old_ones_stay(place: Place) -> None:
    context = ssl.create_default_context(cafile=str(place.authority.file))
    async with running(access=place.access()) as service, place.client() as client:
        before = await serial(service, context)
        assert await asked(service, client) == 200
        place.authority.server()
        service.server.renew(place.access().web.tls)
        assert await serial(service, context) != before
        held = connections(service)
        assert await asked(service, client) == 200
        assert connections(service) == held, "over the same connection"


def connections(service: Service) -> int:
    manager = service.server._runner.server
    assert manager is not None
    return len(manager.connections)


async def test_who_is_no_longer_trusted_loses_also_the_connection_from_before(place: Place) -> None:
    pair = place.authority.client("ada", "ada")
    async with running(access=place.verifying()) as service, place.client(pair) as client:
        assert await asked(service, client) == 200
        service.server.renew(place.verifying(client_allowed_sans="[bob]").web.tls)
        with pytest.raises(ClientError):
            await asked(service, client)


async def test_a_handshake_that_does_not_come_is_closed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_SECONDS", 0.05)
    async with running(access=place.access()) as service:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        assert await asyncio.wait_for(reader.read(), timeout=2) == b""
        writer.close()
