//! Logins with a key: nkey seeds, .creds files, and `mint`, which makes keys and JWTs for tests.

use std::path::Path;
use std::{fs, io};

use aws_lc_rs::{digest, rand};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::{KeyPair, Role, Secret};

fn generate(role: Role) -> KeyPair {
    let mut seed = [0; 32];
    rand::fill(&mut seed).expect("the system has randomness");
    KeyPair::from_raw_seed(role, Secret::new(seed))
}

fn sign(key: &KeyPair, text: &str) -> String {
    BASE64URL_NOPAD.encode(&key.sign(text.as_bytes()))
}

/// A signed token about `subject`; `nats` is the body of its "nats" object.
pub fn jwt(issuer: &KeyPair, subject: &KeyPair, name: &str, nats: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is after 1970").as_secs();
    let (iss, sub) = (issuer.public(), subject.public());
    let claims = |jti: &str| {
        format!(
            "{{\"jti\":\"{jti}\",\"iat\":{now},\"iss\":\"{iss}\",\"name\":\"{name}\",\"sub\":\"{sub}\",\"nats\":{{{nats},\"version\":2}}}}"
        )
    };
    let jti = BASE32_NOPAD.encode(digest::digest(&digest::SHA512_256, claims("").as_bytes()).as_ref());
    let head = BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let text = format!("{head}.{}", BASE64URL_NOPAD.encode(claims(&jti).as_bytes()));
    format!("{text}.{}", sign(issuer, &text))
}

/// A login by signature, from a .creds file (user JWT and seed) or a seed file.
pub struct Login {
    key: KeyPair,
    who: String,
}

impl Login {
    pub fn from_file(path: &str) -> Result<Login, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
        let lines = || text.lines().map(str::trim);
        let key = lines().find_map(|l| KeyPair::from_seed(l).ok()).ok_or(format!("{path}: no nkey seed"))?;
        let who = match lines().find(|l| l.starts_with("eyJ")) {
            Some(jwt) => format!("\"jwt\":\"{jwt}\""),
            None => format!("\"nkey\":\"{}\"", key.public()),
        };
        Ok(Login { key, who })
    }

    /// Fields of the CONNECT line that answer the nonce of this INFO line.
    pub fn fields(&self, info: &str) -> io::Result<String> {
        let nonce = info.split_once("\"nonce\":\"").and_then(|(_, r)| r.split_once('"'));
        let (nonce, _) = nonce.ok_or(io::Error::other("no nonce in INFO: the server does not ask for keys"))?;
        Ok(format!(",{},\"sig\":\"{}\"", self.who, sign(&self.key, nonce)))
    }
}

/// Writes operator, account and user (JWTs, user.creds) and a bare user nkey to `dir`; prints the server configuration.
pub fn mint(dir: &str) -> io::Result<()> {
    let d = Path::new(dir);
    fs::create_dir_all(d)?;
    let d = &d.canonicalize()?;
    let [op, acc, user, bare] = [Role::Operator, Role::Account, Role::User, Role::User].map(generate);
    let limits = "\"limits\":{\"subs\":-1,\"data\":-1,\"payload\":-1,\"imports\":-1,\"exports\":-1,\"wildcards\":true,\"conn\":-1,\"leaf\":-1,\
        \"mem_storage\":-1,\"disk_storage\":-1,\"streams\":-1,\"consumer\":-1}";
    let op_jwt = jwt(&op, &op, "load operator", "\"type\":\"operator\"");
    let acc_jwt = jwt(&op, &acc, "load account", &format!("{limits},\"type\":\"account\""));
    let user_jwt =
        jwt(&acc, &user, "load user", "\"pub\":{},\"sub\":{},\"subs\":-1,\"data\":-1,\"payload\":-1,\"type\":\"user\"");
    let seed = user.seed();
    let seed = seed.expose();
    let bare_seed = bare.seed();
    let bare_public = bare.public().to_string();
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    let files = [
        ("operator.jwt", &op_jwt),
        ("account.jwt", &acc_jwt),
        ("user.creds", &creds),
        ("nkey.seed", bare_seed.expose()),
        ("nkey.pub", &bare_public),
    ];
    for (name, text) in files {
        fs::write(d.join(name), text)?;
    }
    println!("# JWT logins (--creds user.creds)");
    println!("operator: \"{}\"", d.join("operator.jwt").display());
    println!("resolver: MEMORY\nresolver_preload: {{ {}: {acc_jwt} }}", acc.public());
    println!(
        "# instead, for nkey logins (--nkey nkey.seed):\n# authorization {{ users: [ {{ nkey: {} }} ] }}",
        bare.public()
    );
    Ok(())
}
