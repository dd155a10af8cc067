"""TLS in front of the local gateway: ``python -m local.tls PORT TARGET_PORT``.

boto3 sends a bearer token (``AWS_BEARER_TOKEN_BEDROCK``) to an https address alone. In the cloud API Gateway has one;
here bytes are taken over TLS on loopback and given on to the gateway as they are. The certificate is made anew at each
start, for loopback, and is its own authority: clients are told of it (``AWS_CA_BUNDLE``), no trust store is.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import sys
from pathlib import Path

from local import places

VALID = datetime.timedelta(days=30)
READS = 65_536


def make_certificate(certificate_file: Path, key_file: Path) -> None:
    """Write a certificate of 127.0.0.1 and localhost, and its key, which nobody but its owner may read."""
    # Imported on use: what only asks whether the gateway runs needs no cryptography.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Weir's local gateway")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_file.unlink(missing_ok=True)
    key_file.touch(mode=0o600)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    certificate_file.write_bytes(made.public_bytes(pem))


async def relay(port: int, target_port: int, certificate_file: Path, key_file: Path) -> asyncio.Server:
    """Listen on loopback over TLS, and give bytes on to a port of it, and back."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            back, there = await asyncio.open_connection("127.0.0.1", target_port)
            directions = (_pump(reader, there), _pump(back, writer))
            _, left = await asyncio.wait(map(asyncio.create_task, directions), return_when=asyncio.FIRST_COMPLETED)
            for one in (writer, there):  # either side's end is the other's: HTTP over TLS knows no half of one
                one.close()
            for direction in left:
                direction.cancel()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port, ssl=context)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(READS):
            writer.write(data)
            await writer.drain()


async def main(port: int, target_port: int) -> None:
    """Relay until stopped."""
    server = await relay(port, target_port, places.GATEWAY_CERTIFICATE_FILE, places.GATEWAY_KEY_FILE)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*map(int, sys.argv[1:3])))
