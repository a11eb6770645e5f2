// nats.js against a server with smoke.conf: node smoke.mjs nats://127.0.0.1:PORT. Ends with 1 at the first surprise.

import assert from "node:assert/strict";
import { connect, headers, nkeyAuthenticator } from "@nats-io/transport-node";

const servers = process.argv[2];
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
