"""nats-py against a server with smoke.conf: python smoke.py nats://127.0.0.1:PORT. Ends with 1 at the first surprise."""

import asyncio
import sys

import nats
import nats.js.errors
from nats.errors import NoRespondersError

URL = sys.argv[1]
SEED = b"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"


async def connect(user=None, password=None, **more):
    return await nats.connect(URL, user=user, password=password, allow_reconnect=False, connect_timeout=5, **more)


async def worker(**more):
    return await connect("worker", "w0rker", **more)


async def wrong_password_is_refused():
    async def hush(_):
        pass

    try:
        await connect("worker", "wrong", max_reconnect_attempts=0, error_cb=hush)
    except Exception as error:
        assert "authorization" in str(error).lower(), error
        return
    raise AssertionError("a wrong password logged in")


async def settle(connection):
    """Waits until the server knows the subscriptions. This client's flush may overtake what was written just before it."""
    await connection.flush()
    await asyncio.sleep(0.05)
    await connection.flush()


async def messages_arrive_in_order():
    one, other = await worker(), await worker()
    subscription = await one.subscribe("flow.*")
    await settle(one)
    for number in range(100):
        await other.publish(f"flow.{number}", str(number).encode())
    await other.flush()
    heard = [int((await subscription.next_msg(timeout=5)).data) for _ in range(100)]
    assert heard == list(range(100)), heard
    await one.close()
    await other.close()


async def a_request_is_answered():
    one, other = await worker(), await worker()

    async def answer(message):
        await message.respond(b"you said " + message.data)

    await one.subscribe("svc.echo", cb=answer)
    await settle(one)
    reply = await other.request("svc.echo", b"hello", timeout=5)
    assert reply.data == b"you said hello", reply.data
    await one.close()
    await other.close()


async def nobody_answers():
    one = await worker()
    try:
        await one.request("svc.nobody", b"hello", timeout=5)
    except NoRespondersError:
        await one.close()
        return
    raise AssertionError("somebody answered")


async def a_queue_group_shares():
    one, other, sender = await worker(), await worker(), await worker()
    heard = {"one": [], "other": []}

    def note(name):
        async def heard_by(message):
            heard[name].append(int(message.data))

        return heard_by

    await one.subscribe("job", queue="crew", cb=note("one"))
    await other.subscribe("job", queue="crew", cb=note("other"))
    await settle(one)
    await settle(other)
    for number in range(200):
        await sender.publish("job", str(number).encode())
    await sender.flush()
    await one.drain()
    await other.drain()
    assert sorted(heard["one"] + heard["other"]) == list(range(200)), "lost or doubled"
    assert heard["one"] and heard["other"], "one member got all"
    await sender.close()


async def headers_are_carried():
    one = await worker()
    subscription = await one.subscribe("head")
    await one.publish("head", b"body", headers={"A": "Apple", "Number": "1"})
    message = await subscription.next_msg(timeout=5)
    assert message.headers == {"A": "Apple", "Number": "1"} and message.data == b"body", message
    await one.close()


async def violations_are_seen():
    errors = asyncio.Queue()

    async def note(error):
        await errors.put(str(error))

    clerk = await connect("clerk", "cl3rk", error_cb=note)
    boss = await worker()
    await clerk.publish("billing.x", b"nope")
    said = await asyncio.wait_for(errors.get(), 5)
    assert 'permissions violation for publish to "billing.x"' in said.lower(), said
    await clerk.subscribe("orders.>")
    said = await asyncio.wait_for(errors.get(), 5)
    assert 'permissions violation for subscription to "orders.>"' in said.lower(), said
    wide = await clerk.subscribe("events.>")
    await settle(clerk)
    await boss.publish("events.audit.x", b"secret")
    await boss.publish("events.open", b"open")
    await boss.flush()
    assert (await wide.next_msg(timeout=5)).subject == "events.open", "the denied message came"
    await clerk.close()
    await boss.close()


async def an_unsubscription_counts():
    one = await worker()
    heard = []

    async def note(message):
        heard.append(message.data)

    subscription = await one.subscribe("count", cb=note)
    await subscription.unsubscribe(limit=3)
    for number in range(10):
        await one.publish("count", str(number).encode())
    await one.flush()
    await one.drain()
    assert heard == [b"0", b"1", b"2"], heard


async def a_key_signs_in():
    import os
    import tempfile

    with tempfile.NamedTemporaryFile(delete=False) as seed:
        seed.write(SEED)
    one = await nats.connect(URL, nkeys_seed=seed.name, allow_reconnect=False)
    os.unlink(seed.name)
    await one.flush()
    await one.close()


async def a_stream_keeps_and_a_consumer_reads():
    one = await worker()
    js = one.jetstream()
    await js.add_stream(name="PY", subjects=["py.>"])
    acks = [await js.publish("py.order", str(number).encode()) for number in range(100)]
    assert [ack.seq for ack in acks] == list(range(1, 101)), acks
    again = await js.publish("py.once", b"x", headers={"Nats-Msg-Id": "one"})
    double = await js.publish("py.once", b"x", headers={"Nats-Msg-Id": "one"})
    assert (again.seq, double.seq, double.duplicate) == (101, 101, True), double
    pull = await js.pull_subscribe("py.order", "reader")
    messages = await pull.fetch(60, timeout=5)
    messages += await pull.fetch(40, timeout=5)
    assert [int(message.data) for message in messages] == list(range(100))
    for message in messages:
        await message.ack_sync()
    info = await js.consumer_info("PY", "reader")
    assert info.num_ack_pending == 0 and info.ack_floor.stream_seq == 100, info
    ordered = await js.subscribe("py.>", ordered_consumer=True)
    heard = [(await ordered.next_msg(timeout=5)).metadata.sequence.stream for _ in range(101)]
    assert heard == list(range(1, 102)), heard
    pushed = await js.subscribe("py.order", durable="pushed", manual_ack=True)
    first = await pushed.next_msg(timeout=5)
    await first.nak()
    rest = [await pushed.next_msg(timeout=5) for _ in range(100)]
    assert any(message.metadata.num_delivered == 2 for message in rest), "it never came again"
    stored = await js.get_msg("PY", 7)
    assert stored.data == b"6", stored
    await js.delete_msg("PY", 7)
    assert await js.purge_stream("PY") is True
    assert (await js.stream_info("PY")).state.messages == 0
    await js.delete_stream("PY")
    await one.close()


async def a_bucket_of_keys_remembers():
    one = await worker()
    js = one.jetstream()
    bucket = await js.create_key_value(bucket="py-keys", history=5)
    first = await bucket.create("a.b", b"1")
    second = await bucket.update("a.b", b"2", last=first)
    assert (await bucket.get("a.b")).value == b"2"
    try:
        await bucket.update("a.b", b"3", last=first)
        raise AssertionError("an old revision was taken")
    except nats.js.errors.KeyWrongLastSequenceError:
        pass
    watcher = await bucket.watchall()
    entry = await watcher.updates(timeout=5)
    assert (entry.key, entry.revision) == ("a.b", second), entry
    assert await watcher.updates(timeout=5) is None
    await bucket.delete("a.b")
    assert (await watcher.updates(timeout=5)).operation == "DEL"
    assert len(await bucket.history("a.b")) == 3
    await bucket.purge("a.b")
    assert len(await bucket.history("a.b")) == 1
    await js.delete_key_value("py-keys")
    await one.close()


async def a_bucket_of_objects_carries_megabytes():
    one = await worker()
    js = one.jetstream()
    store = await js.create_object_store(bucket="py-things")
    thing = bytes(range(256)) * 8192
    await store.put("a thing", thing)
    assert (await store.get("a thing")).data == thing
    assert (await store.get_info("a thing")).size == len(thing)
    await store.delete("a thing")
    try:
        await store.get("a thing")
        raise AssertionError("a deleted object was given")
    except nats.js.errors.ObjectNotFoundError:
        pass
    await js.delete_object_store("py-things")
    await one.close()


async def a_clerk_may_not_ask_for_streams():
    async def hush(_):
        pass

    clerk = await connect("clerk", "cl3rk", error_cb=hush)
    try:
        await clerk.jetstream(timeout=1).add_stream(name="NOT", subjects=["not"])
    except Exception:
        await clerk.close()
        return
    raise AssertionError("a clerk made a stream")


async def main():
    scenes = [
        wrong_password_is_refused,
        messages_arrive_in_order,
        a_request_is_answered,
        nobody_answers,
        a_queue_group_shares,
        headers_are_carried,
        violations_are_seen,
        an_unsubscription_counts,
        a_key_signs_in,
        a_stream_keeps_and_a_consumer_reads,
        a_bucket_of_keys_remembers,
        a_bucket_of_objects_carries_megabytes,
        a_clerk_may_not_ask_for_streams,
    ]
    for scene in scenes:
        await asyncio.wait_for(scene(), 30)
        print(f"  python: {scene.__name__}")
    print(f"python: {len(scenes)} scenes")


asyncio.run(main())
