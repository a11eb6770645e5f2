//! `nats auth nkey`: keys without claims around them.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use nkeys::{KeyPair, Prefix, PublicKey, Role, XKey, XPublicKey};
use secret::Secret;

use crate::show::{outln, write_out};
use crate::vault::{random_bytes, read_bounded, write_new};

const MAX_KEY_BYTES: u64 = 2 << 20;
const MAX_DATA_BYTES: u64 = 1 << 30;

/// Create and Use NKeys
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub(crate) struct NKeys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Generates NKeys
    Gen(Gen),
    /// Show the public key
    Show(Show),
    /// Signs data using NKeys
    Sign(Sign),
    /// Verify signed data
    Verify(Verify),
    /// Encrypts a file using NKeys
    #[command(visible_aliases = ["encrypt", "enc"])]
    Seal(Seal),
    /// Decrypts a file using NKeys
    #[command(visible_aliases = ["open", "decrypt", "dec"])]
    Unseal(Unseal),
}

#[derive(Args, Debug)]
struct Gen {
    /// Type of key to generate
    #[arg(value_parser = ["user", "account", "server", "cluster", "operator", "curve", "x25519"])]
    kind: String,
    /// Output the public key
    #[arg(long)]
    public: bool,
    /// Source of entropy eg. /dev/urandom
    #[arg(long, value_name = "FILE")]
    entropy: Option<PathBuf>,
    /// Write the key to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Show {
    /// File containing NKey to act on
    key: PathBuf,
}

#[derive(Args, Debug)]
struct Sign {
    /// File to sign
    file: PathBuf,
    /// File containing NKey to sign with
    key: PathBuf,
}

#[derive(Args, Debug)]
struct Verify {
    /// File containing the data to check
    file: PathBuf,
    /// File containing the signature
    signature: PathBuf,
    /// File containing NKey to use for verification
    key: PathBuf,
}

#[derive(Args, Debug)]
struct Seal {
    /// File to encrypt
    file: PathBuf,
    /// File containing NKey to encrypt with
    key: PathBuf,
    /// Public XKey of recipient
    recipient: String,
    /// Write the encrypted data to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    base64: Base64,
}

#[derive(Args, Debug)]
struct Unseal {
    /// File to decrypt
    file: PathBuf,
    /// File containing NKey to decrypt with
    key: PathBuf,
    /// Public XKey of sender
    sender: String,
    /// Write the decrypted data to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    base64: Base64,
}

crate::global::negatable! {
    /// The encrypted data is base64
    Base64, "b64", "no-b64", true
}

/// The seed in a file: alone, decorated, or in credentials.
pub(crate) fn read_seed(path: &Path) -> Result<Secret<String>> {
    let bytes = Secret::new(read_bounded(path, MAX_KEY_BYTES)?);
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| anyhow!("{} is not text", path.display()))?;
    let seed = text.lines().map(str::trim).find(|line| matches!(Prefix::of(line), Ok(Prefix::Seed(_))));
    seed.map(|seed| Secret::new(seed.to_owned())).ok_or_else(|| anyhow!("no nkey seed found in {}", path.display()))
}

/// A key that signs.
pub(crate) fn read_pair(path: &Path) -> Result<KeyPair> {
    KeyPair::from_seed(read_seed(path)?.expose()).with_context(|| format!("the key in {} cannot sign", path.display()))
}

/// A key that seals.
pub(crate) fn read_curve(path: &Path) -> Result<XKey> {
    XKey::from_seed(read_seed(path)?.expose()).with_context(|| format!("the key in {} is no curve key", path.display()))
}

fn read_public(path: &Path) -> Result<PublicKey> {
    if let Ok(pair) = read_pair(path) {
        return Ok(pair.public());
    }
    let bytes = read_bounded(path, MAX_KEY_BYTES)?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("{} is not text", path.display()))?;
    text.trim().parse().with_context(|| format!("no key found in {}", path.display()))
}

impl NKeys {
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            Command::Gen(command) => command.run(),
            Command::Show(command) => command.run(),
            Command::Sign(command) => command.run(),
            Command::Verify(command) => command.run(),
            Command::Seal(command) => command.run(),
            Command::Unseal(command) => command.run(),
        }
    }
}

impl Gen {
    fn run(self) -> Result<()> {
        let raw = Secret::new(match &self.entropy {
            None => random_bytes()?,
            Some(path) => {
                let mut raw = [0; 32];
                let mut source = std::fs::File::open(path).context("could not use custom entropy source")?;
                source.read_exact(&mut raw).context("could not use custom entropy source")?;
                raw
            }
        });
        let role = match self.kind.as_str() {
            "user" => Role::User,
            "account" => Role::Account,
            "server" => Role::Server,
            "cluster" => Role::Cluster,
            "operator" => Role::Operator,
            _ => Role::Curve,
        };
        let (seed, public) = if role == Role::Curve {
            let key = XKey::from_raw_seed(raw);
            (key.seed(), key.public().to_string())
        } else {
            let pair = KeyPair::from_raw_seed(role, raw);
            (pair.seed(), pair.public().to_string())
        };
        let public = if self.public { format!("{public}\n") } else { String::new() };
        let text = Secret::new(format!("{}\n{public}", seed.expose()));
        deliver(self.output.as_deref(), text.expose().as_bytes())
    }
}

/// To a file that only its owner reads, or to stdout.
fn deliver(path: Option<&Path>, content: &[u8]) -> Result<()> {
    match path {
        Some(path) => write_new(path, content, true),
        None => {
            write_out(content);
            Ok(())
        }
    }
}

impl Show {
    fn run(self) -> Result<()> {
        let seed = read_seed(&self.key)?;
        match XKey::from_seed(seed.expose()) {
            Ok(key) => outln!("{}", key.public()),
            Err(_) => outln!("{}", KeyPair::from_seed(seed.expose())?.public()),
        }
        Ok(())
    }
}

impl Sign {
    fn run(self) -> Result<()> {
        let pair = read_pair(&self.key)?;
        outln!("{}", BASE64URL_NOPAD.encode(&pair.sign(&read_bounded(&self.file, MAX_DATA_BYTES)?)));
        Ok(())
    }
}

impl Verify {
    fn run(self) -> Result<()> {
        let key = read_public(&self.key)?;
        let signature = read_bounded(&self.signature, MAX_KEY_BYTES)?;
        let signature = BASE64URL_NOPAD.decode(signature.trim_ascii()).context("the signature is not base64")?;
        if key.verify(&read_bounded(&self.file, MAX_DATA_BYTES)?, &signature).is_err() {
            bail!("nkeys: signature verification failed: {} did not sign {}", key, self.file.display());
        }
        outln!("Verified OK");
        Ok(())
    }
}

impl Seal {
    fn run(self) -> Result<()> {
        let key = read_curve(&self.key)?;
        let reader: XPublicKey = self.recipient.parse().context("invalid public key provided")?;
        let sealed = key.seal(&read_bounded(&self.file, MAX_DATA_BYTES)?, &reader, &random_bytes()?);
        let content = if self.base64.is_on() { BASE64.encode(&sealed).into_bytes() } else { sealed };
        let end = if self.output.is_none() { b"\n".as_slice() } else { b"" };
        deliver(self.output.as_deref(), &[&content, end].concat())
    }
}

impl Unseal {
    fn run(self) -> Result<()> {
        let key = read_curve(&self.key)?;
        let writer: XPublicKey = self.sender.parse().context("invalid public key provided")?;
        let content = read_bounded(&self.file, MAX_DATA_BYTES)?;
        let sealed = match self.base64.is_on() {
            true => {
                BASE64.decode(content.trim_ascii()).context("the file is not base64; --no-b64 reads it as it is")?
            }
            false => content,
        };
        let opened = key.open(&sealed, &writer).context("open failed")?;
        let end = if self.output.is_none() { b"\n".as_slice() } else { b"" };
        deliver(self.output.as_deref(), &[&opened, end].concat())
    }
}
