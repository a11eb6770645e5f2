"""Connects as told, says what it met with, and stays until its input ends."""

import asyncio
import ssl
import sys

import nats

PORT, AUTHORITIES, SPEAKS, SUITE, BEGINS, CERTIFICATE = sys.argv[1:]
SUITES = {
    "aes128": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "aes256": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "chacha": "ECDHE-ECDSA-CHACHA20-POLY1305",
}


def context():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(AUTHORITIES)
    version = ssl.TLSVersion.TLSv1_2 if SPEAKS == "1.2" else ssl.TLSVersion.TLSv1_3
    tls.minimum_version = tls.maximum_version = version
    if SUITE in SUITES:
        tls.set_ciphers(SUITES[SUITE])
    if CERTIFICATE:
        tls.load_cert_chain(CERTIFICATE + ".pem", CERTIFICATE + ".key")
    return tls


async def quiet(_):
    pass


async def main():
    try:
        client = await nats.connect(
            f"tls://127.0.0.1:{PORT}",
            tls=context(),
            tls_hostname="127.0.0.1",
            tls_handshake_first=BEGINS == "tls",
            allow_reconnect=False,
            connect_timeout=20,
            max_reconnect_attempts=0,
            error_cb=quiet,
        )
        await client.flush(20)
    except Exception as error:
        refused = "authorization violation" in str(error).lower()
        print("login refused" if refused else "handshake refused", flush=True)
        return
    print("served", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
