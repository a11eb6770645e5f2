"""Makes the chain of trust in python/ with the public libraries nats-jwt 0.2.2 and nkeys 0.2.1."""

import pathlib
import sys

from nats_jwt.nkeys_ext import create_account_pair, create_operator_pair, create_user_pair
from nats_jwt.v2.account_claims import AccountClaims, Export
from nats_jwt.v2.operator_claims import OperatorClaims
from nats_jwt.v2.user_claims import UserClaims

place = pathlib.Path(sys.argv[1])
place.mkdir(parents=True, exist_ok=True)


def public(pair):
    return pair.public_key.decode()


def keep(name, text):
    (place / name).write_text(text)


def keep_creds(name, token, pair):
    keep(
        name,
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{pair.seed.decode()}\n------END USER NKEY SEED------\n",
    )


operator, operator_key = create_operator_pair(), create_operator_pair()
system, shop = create_account_pair(), create_account_pair()

claims = OperatorClaims(public(operator), "acme")
claims.nats.signing_keys.append(public(operator_key))
claims.nats.system_account = public(system)
keep("operator.jwt", claims.encode(operator))

keep("system.jwt", AccountClaims(public(system), "SYS").encode(operator_key))

claims = AccountClaims(public(shop), "shop")
# Its signing keys of accounts are an object, which servers do not read: accounts have none here.
claims.nats.exports.append(Export("orders", "orders.>"))
keep("account.jwt", claims.encode(operator_key))

admin = create_user_pair()
keep_creds("admin.creds", UserClaims(public(admin), "admin").encode(system), admin)
joe = create_user_pair()
claims = UserClaims(public(joe), "joe")
claims.nats.pub.allow = ["orders.>", "$SYS.REQ.USER.INFO"]
claims.nats.pub.deny = ["orders.*.card"]
keep_creds("joe.creds", claims.encode(shop), joe)
