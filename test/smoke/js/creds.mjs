// nats.js with a credentials file: node creds.mjs URL admitted|refused FILE. Ends with 1 at the first surprise.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, credsAuthenticator } from "@nats-io/transport-node";

const [servers, mode, file] = process.argv.slice(2);
const credentials = readFileSync(file);
const text = (message) => new TextDecoder().decode(message.data);

const login = (more = {}) => connect({ servers, reconnect: false, timeout: 5000, ...more });
const joe = () => login({ authenticator: credsAuthenticator(credentials) });

/** What the file's token says of itself. */
function claims() {
  const token = credentials.toString().match(/-----BEGIN NATS USER JWT-----\s+(\S+)/)[1];
  return JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
}

const isRefused = (login) =>
  assert.rejects(login, (error) => /authorization/i.test(`${error} ${error.cause ?? ""}`));

async function theServerKnowsWhoCame() {
  const [one, own] = [await joe(), claims()];
  const info = (await one.request("$SYS.REQ.USER.INFO", "", { timeout: 5000 })).json().data;
  assert.equal(info.user, own.sub);
  assert.equal(info.account, own.nats.issuer_account);
  assert.deepEqual([info.user_name, info.account_name], ["joe", "shop"]);
  await one.close();
}

async function theRoleDecides() {
  const one = await joe();
  const statuses = one.status()[Symbol.asyncIterator]();
  const error = async () => {
    for (;;) {
      const { value } = await statuses.next();
      if (value.type === "error") return `${value.error}`;
    }
  };
  const own = one.subscribe("orders.joe.>", { max: 1 });
  one.publish("orders.sue.new", "not mine");
  one.publish("orders.joe.new", "mine");
  for await (const message of own) assert.deepEqual([message.subject, text(message)], ["orders.joe.new", "mine"]);
  assert.match(await error(), /permissions violation for publish to "orders\.sue\.new"/i);
  one.subscribe("orders.>", { callback: () => {} });
  assert.match(await error(), /permissions violation for subscription to "orders\.>"/i);
  await one.close();
}

async function aRequestIsAnswered() {
  const [one, other] = [await joe(), await joe()];
  one.subscribe("orders.joe.echo", { callback: (_, message) => message.respond(`you said ${text(message)}`) });
  await one.flush();
  assert.equal(text(await other.request("orders.joe.echo", "hello", { timeout: 5000 })), "you said hello");
  await one.close();
  await other.close();
}

async function aStreamKeeps() {
  const one = await joe();
  const manager = await jetstreamManager(one);
  await manager.streams.add({ name: "JS", subjects: ["orders.joe.js"] });
  assert.equal((await jetstream(one).publish("orders.joe.js", "x")).seq, 1);
  assert.equal(text(await manager.streams.getMessage("JS", { seq: 1 })), "x");
  await manager.streams.delete("JS");
  await one.close();
}

async function nobodyComesWithoutCredentials() {
  await isRefused(login());
}

async function theCredentialsAreRefused() {
  await isRefused(joe());
}

const scenes = {
  admitted: [theServerKnowsWhoCame, theRoleDecides, aRequestIsAnswered, aStreamKeeps, nobodyComesWithoutCredentials],
  refused: [theCredentialsAreRefused],
};
const watchdog = setTimeout(() => {
  console.error("js: a scene takes too long");
  process.exit(1);
}, 60_000);
for (const scene of scenes[mode]) {
  await scene();
  console.log(`  js: ${scene.name}`);
}
clearTimeout(watchdog);
