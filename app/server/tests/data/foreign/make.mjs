// Makes the chain of trust in javascript/ with the public libraries @nats-io/jwt 0.0.11 and @nats-io/nkeys 2.0.3.
import { mkdirSync, writeFileSync } from "node:fs";
import { createAccount, createOperator, createUser } from "@nats-io/nkeys";
import { encodeAccount, encodeOperator, encodeUser, fmtCreds } from "@nats-io/jwt";

const place = process.argv[2];
mkdirSync(place, { recursive: true });
const keep = (name, text) => writeFileSync(`${place}/${name}`, typeof text === "string" ? text : new TextDecoder().decode(text));

const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 };
const [operator, operatorKey] = [createOperator(), createOperator()];
const [system, shop, shopKey, role] = [createAccount(), createAccount(), createAccount(), createAccount()];
const [admin, joe, ann, gone] = [createUser(), createUser(), createUser(), createUser()];

keep("operator.jwt", await encodeOperator("acme", operator, {
  signing_keys: [operatorKey.getPublicKey()],
  system_account: system.getPublicKey(),
  strict_signing_key_usage: false,
  tags: ["env:test"],
}));
keep("system.jwt", await encodeAccount("SYS", system, { limits }, { signer: operatorKey }));
keep("account.jwt", await encodeAccount("shop", shop, {
  limits: { ...limits, conn: 10 },
  exports: [{ name: "orders", subject: "orders.>", type: "stream" }],
  mappings: { "old.orders": [{ subject: "orders.old", weight: 100 }] },
  revocations: { [gone.getPublicKey()]: Math.floor(Date.now() / 1000) + 3600 },
  signing_keys: [shopKey.getPublicKey(), {
    kind: "user_scope",
    key: role.getPublicKey(),
    role: "seller",
    template: {
      pub: { allow: ["orders.{{name()}}.>", "$SYS.REQ.USER.INFO"], deny: [] },
      sub: { allow: ["_INBOX.>"], deny: [] },
      subs: -1,
      data: -1,
      payload: -1,
    },
  }],
}, { signer: operatorKey }));
keep("admin.creds", fmtCreds(await encodeUser("admin", admin, system), admin));
keep("joe.creds", fmtCreds(await encodeUser("joe", joe, shopKey, {
  issuer_account: shop.getPublicKey(),
  pub: { allow: ["orders.>", "$SYS.REQ.USER.INFO"], deny: ["orders.*.card"] },
}), joe));
keep("ann.creds", fmtCreds(await encodeUser("ann", ann, role, { issuer_account: shop.getPublicKey() }, { scopedUser: true }), ann));
keep("gone.creds", fmtCreds(await encodeUser("gone", gone, shop), gone));
