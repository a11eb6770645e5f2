// nats.js against a server with smoke.conf: node smoke.mjs nats://127.0.0.1:PORT (or ws://). Ends with 1 at the first surprise.

import assert from "node:assert/strict";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import { headers, nkeyAuthenticator, wsconnect } from "@nats-io/nats-core";
import { connect as tcpconnect } from "@nats-io/transport-node";
import { WebSocket } from "ws";

// Node has one of its own since version 22.
globalThis.WebSocket ??= WebSocket;

const servers = process.argv[2];
const connect = servers.startsWith("ws") ? wsconnect : tcpconnect;
const SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const text = (message) => new TextDecoder().decode(message.data);

const login = (user, pass, more = {}) => connect({ servers, user, pass, reconnect: false, timeout: 5000, ...more });
const worker = (more) => login("worker", "w0rker", more);

async function heard(subscription, count) {
  const messages = [];
  if (count === 0) return messages;
  for await (const message of subscription) {
    messages.push(message);
    if (messages.length === count) break;
  }
  return messages;
}

async function wrongPasswordIsRefused() {
  await assert.rejects(login("worker", "wrong"), (error) => /authorization/i.test(`${error} ${error.cause ?? ""}`));
}

async function messagesArriveInOrder() {
  const [one, other] = [await worker(), await worker()];
  const subscription = one.subscribe("flow.*");
  await one.flush();
  for (let number = 0; number < 100; number++) other.publish(`flow.${number}`, `${number}`);
  await other.flush();
  const numbers = (await heard(subscription, 100)).map((message) => Number(text(message)));
  assert.deepEqual(numbers, [...Array(100).keys()]);
  await one.close();
  await other.close();
}

async function aRequestIsAnswered() {
  const [one, other] = [await worker(), await worker()];
  one.subscribe("svc.echo", { callback: (_, message) => message.respond(`you said ${text(message)}`) });
  await one.flush();
  assert.equal(text(await other.request("svc.echo", "hello", { timeout: 5000 })), "you said hello");
  await one.close();
  await other.close();
}

async function nobodyAnswers() {
  const one = await worker();
  await assert.rejects(one.request("svc.nobody", "hello", { timeout: 5000 }), /no responders|NoResponders/i);
  await one.close();
}

async function aQueueGroupShares() {
  const [one, other, sender] = [await worker(), await worker(), await worker()];
  const shares = [[], []];
  [one, other].forEach((member, index) =>
    member.subscribe("job", { queue: "crew", callback: (_, message) => shares[index].push(Number(text(message))) }),
  );
  await one.flush();
  await other.flush();
  for (let number = 0; number < 200; number++) sender.publish("job", `${number}`);
  await sender.flush();
  await one.drain();
  await other.drain();
  assert.deepEqual(shares.flat().sort((a, b) => a - b), [...Array(200).keys()], "lost or doubled");
  assert.ok(shares.every((share) => share.length > 0), "one member got all");
  await sender.close();
}

async function headersAreCarried() {
  const one = await worker();
  const subscription = one.subscribe("head");
  const lines = headers();
  lines.append("A", "Apple");
  lines.append("Number", "1");
  lines.append("Number", "2");
  one.publish("head", "body", { headers: lines });
  const [message] = await heard(subscription, 1);
  assert.equal(message.headers.get("A"), "Apple");
  assert.deepEqual(message.headers.values("Number"), ["1", "2"]);
  assert.equal(text(message), "body");
  await one.close();
}

async function violationsAreSeen() {
  const [clerk, boss] = [await login("clerk", "cl3rk"), await worker()];
  const statuses = clerk.status()[Symbol.asyncIterator]();
  const error = async () => {
    for (;;) {
      const { value } = await statuses.next();
      if (value.type === "error") return `${value.error}`;
    }
  };
  clerk.publish("billing.x", "nope");
  assert.match(await error(), /permissions violation for publish to "billing.x"/i);
  const refused = clerk.subscribe("orders.>", { callback: () => {} });
  assert.match(await error(), /permissions violation for subscription to "orders.>"/i);
  assert.ok(refused.isClosed());
  const wide = clerk.subscribe("events.>");
  await clerk.flush();
  boss.publish("events.audit.x", "secret");
  boss.publish("events.open", "open");
  await boss.flush();
  assert.equal((await heard(wide, 1))[0].subject, "events.open");
  await clerk.close();
  await boss.close();
}

async function anUnsubscriptionCounts() {
  const one = await worker();
  const subscription = one.subscribe("count", { max: 3 });
  for (let number = 0; number < 10; number++) one.publish("count", `${number}`);
  await one.flush();
  assert.deepEqual((await heard(subscription, 3)).map(text), ["0", "1", "2"]);
  await one.drain();
}

async function aKeySignsIn() {
  const authenticator = nkeyAuthenticator(new TextEncoder().encode(SEED));
  const one = await connect({ servers, authenticator, reconnect: false, timeout: 5000 });
  await one.flush();
  assert.ok((await one.rtt()) >= 0);
  await one.close();
}

async function aStreamKeepsAndAConsumerReads() {
  const one = await worker();
  const [js, jsm] = [jetstream(one), await jetstreamManager(one)];
  await jsm.streams.add({ name: "JS", subjects: ["js.>"] });
  const acks = await Promise.all([...Array(100).keys()].map((number) => js.publish("js.order", `${number}`)));
  assert.deepEqual(acks.map((ack) => ack.seq).sort((a, b) => a - b), [...Array(100).keys()].map((number) => number + 1));
  const first = await js.publish("js.once", "x", { msgID: "one" });
  const double = await js.publish("js.once", "x", { msgID: "one" });
  assert.deepEqual([double.seq, double.duplicate], [first.seq, true]);
  await assert.rejects(js.publish("js.once", "x", { expect: { lastSequence: 5 } }), /wrong last sequence/);

  await jsm.consumers.add("JS", { durable_name: "reader", ack_policy: "explicit", filter_subject: "js.order" });
  const reader = await js.consumers.get("JS", "reader");
  const numbers = [];
  for await (const message of await reader.fetch({ max_messages: 100, expires: 5000 })) {
    numbers.push(Number(text(message)));
    assert.ok(await message.ackAck());
  }
  assert.deepEqual(numbers, [...Array(100).keys()]);
  assert.equal((await reader.info()).num_ack_pending, 0);

  const ordered = await js.consumers.get("JS");
  const sequences = [];
  for await (const message of await ordered.consume()) {
    sequences.push(message.seq);
    if (sequences.length === 101) break;
  }
  assert.deepEqual(sequences, [...Array(101).keys()].map((number) => number + 1));
  assert.equal(text(await jsm.streams.getMessage("JS", { seq: 7 })), "6");
  assert.ok(await jsm.streams.deleteMessage("JS", 7));
  assert.equal((await jsm.streams.purge("JS", { filter: "js.order" })).purged, 99);
  assert.ok(await jsm.streams.delete("JS"));
  await one.close();
}

async function aBucketOfKeysRemembers() {
  const one = await worker();
  const bucket = await new Kvm(one).create("js-keys", { history: 5 });
  const first = await bucket.create("a.b", "1");
  await bucket.update("a.b", "2", first);
  assert.equal((await bucket.get("a.b")).string(), "2");
  await assert.rejects(bucket.update("a.b", "3", first), /wrong last sequence/);
  await bucket.put("c", "4");
  const keys = [];
  for await (const key of await bucket.keys()) keys.push(key);
  assert.deepEqual(keys.sort(), ["a.b", "c"]);
  await bucket.delete("a.b");
  assert.equal((await bucket.get("a.b")).operation, "DEL");
  const history = [];
  for await (const entry of await bucket.history({ key: "a.b" })) history.push(entry.operation);
  assert.deepEqual(history, ["PUT", "PUT", "DEL"]);
  await bucket.destroy();
  await one.close();
}

async function aBucketOfObjectsCarriesMegabytes() {
  const one = await worker();
  const things = await new Objm(one).create("js-things");
  const thing = new Uint8Array(2 * 1024 * 1024).map((_, index) => index % 251);
  await things.putBlob({ name: "a thing" }, thing);
  assert.deepEqual(await things.getBlob("a thing"), thing);
  assert.equal((await things.info("a thing")).size, thing.length);
  await things.delete("a thing");
  assert.equal((await things.info("a thing")).deleted, true);
  await things.destroy();
  await one.close();
}

const scenes = [
  wrongPasswordIsRefused,
  messagesArriveInOrder,
  aRequestIsAnswered,
  nobodyAnswers,
  aQueueGroupShares,
  headersAreCarried,
  violationsAreSeen,
  anUnsubscriptionCounts,
  aKeySignsIn,
  aStreamKeepsAndAConsumerReads,
  aBucketOfKeysRemembers,
  aBucketOfObjectsCarriesMegabytes,
];
const watchdog = setTimeout(() => {
  console.error("js: a scene takes too long");
  process.exit(1);
}, 60_000);
for (const scene of scenes) {
  await scene();
  console.log(`  js: ${scene.name}`);
}
console.log(`js: ${scenes.length} scenes`);
clearTimeout(watchdog);
