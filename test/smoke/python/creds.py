"""nats-py with a credentials file: python creds.py URL admitted|refused FILE. Ends with 1 at the first surprise."""

import asyncio
import base64
import json
import sys

import nats
from nats.errors import NoServersError

URL, MODE, FILE = sys.argv[1:4]


async def hush(_):
    pass


async def login(**more):
    return await nats.connect(URL, allow_reconnect=False, max_reconnect_attempts=0, connect_timeout=5, **more)


def claims():
    """What the file's token says of itself."""
    lines = open(FILE).read().splitlines()
    token = lines[lines.index("-----BEGIN NATS USER JWT-----") + 1]
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


async def is_refused(**more):
    try:
        await login(error_cb=hush, **more)
    except Exception as error:
        assert isinstance(error, NoServersError) or "authorization" in str(error).lower(), repr(error)
        return
    raise AssertionError("the server let somebody in whom it should not know")


async def the_server_knows_who_came():
    one, own = await login(user_credentials=FILE), claims()
    info = json.loads((await one.request("$SYS.REQ.USER.INFO", b"", timeout=5)).data)["data"]
    assert info["user"] == own["sub"], info
    assert info["account"] == own["nats"]["issuer_account"], info
    assert (info["user_name"], info["account_name"]) == ("joe", "shop"), info
    await one.close()


async def the_role_decides():
    said = []

    async def note(error):
        said.append(str(error).lower())

    one = await login(user_credentials=FILE, error_cb=note)
    own = await one.subscribe("orders.joe.>")
    await one.publish("orders.sue.new", b"not mine")
    await one.publish("orders.joe.new", b"mine")
    message = await own.next_msg(timeout=5)
    assert (message.subject, message.data) == ("orders.joe.new", b"mine")
    await one.subscribe("orders.>")
    await one.flush()
    # The library tells of errors in a task of its own.
    for _ in range(100):
        if len(said) >= 2:
            break
        await asyncio.sleep(0.05)
    assert any('publish to "orders.sue.new"' in text for text in said), said
    assert any('subscription to "orders.>"' in text for text in said), said
    await one.close()


async def a_request_is_answered():
    one, other = await login(user_credentials=FILE), await login(user_credentials=FILE)

    async def answer(message):
        await message.respond(b"you said " + message.data)

    await one.subscribe("orders.joe.echo", cb=answer)
    # This client's flush may overtake what was written just before it.
    await one.flush()
    await asyncio.sleep(0.05)
    await one.flush()
    reply = await other.request("orders.joe.echo", b"hello", timeout=5)
    assert reply.data == b"you said hello", reply.data
    await one.close()
    await other.close()


async def a_stream_keeps():
    one = await login(user_credentials=FILE)
    js = one.jetstream()
    await js.add_stream(name="PY", subjects=["orders.joe.py"])
    assert (await js.publish("orders.joe.py", b"x")).seq == 1
    assert (await js.get_msg("PY", 1)).data == b"x"
    await js.delete_stream("PY")
    await one.close()


async def nobody_comes_without_credentials():
    await is_refused()


async def the_credentials_are_refused():
    await is_refused(user_credentials=FILE)


SCENES = {
    "admitted": [
        the_server_knows_who_came,
        the_role_decides,
        a_request_is_answered,
        a_stream_keeps,
        nobody_comes_without_credentials,
    ],
    "refused": [the_credentials_are_refused],
}


async def main():
    for scene in SCENES[MODE]:
        await asyncio.wait_for(scene(), 30)
        print(f"  python: {scene.__name__}")


asyncio.run(main())
