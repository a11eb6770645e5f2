//! `nats context info` and `validate`.

use anyhow::{Result, bail};
use clap::Args;
use console::Color;

use crate::context::{DEFAULT_URL, Record, Shelf, expand, scheme_of};
use crate::global::OVERRIDES;
use crate::invocation::Invocation;
use crate::link::Line;
use crate::show::{Columns, outln, paint, print_json};

/// Show a context
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// The context to show; the selected one when left out
    name: Option<String>,
    /// Show JSON
    #[arg(long, short = 'j')]
    json: bool,
    /// Try to connect
    #[arg(long)]
    connect: bool,
}

/// Check one context, or all
#[derive(Args, Debug)]
pub(crate) struct Validate {
    /// The context to check; all when left out
    name: Option<String>,
    /// Try to connect
    #[arg(long)]
    connect: bool,
}

impl Info {
    pub(crate) async fn run(&self, invocation: &Invocation, shelf: &Shelf) -> Result<()> {
        let Some(name) = self.name.clone().or_else(|| shelf.selected()) else {
            bail!("no default context and no name supplied");
        };
        if self.json {
            return print_json(&shelf.load(&name)?);
        }
        show(invocation, shelf, &name, self.connect).await.map(drop)
    }
}

impl Validate {
    pub(crate) async fn run(&self, invocation: &Invocation, shelf: &Shelf) -> Result<()> {
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => shelf.names()?,
        };
        let mut faults = 0;
        for name in names {
            match show(invocation, shelf, &name, self.connect).await {
                Ok(found) => faults += found,
                Err(error) => {
                    faults += 1;
                    outln!("Could not load {name}: {}\n", paint(&format!("{error:#}"), Color::Red));
                }
            }
            outln!();
        }
        if faults > 0 {
            bail!("validation failed");
        }
        Ok(())
    }
}

/// Shows a context and counts what is wrong with it.
pub(crate) async fn show(invocation: &Invocation, shelf: &Shelf, name: &str, is_connecting: bool) -> Result<usize> {
    let record = shelf.load(name)?;
    let mut faults = 0;
    let mut page = Columns::new(format!("NATS Configuration Context {name:?}"));
    let url = if record.url.is_empty() { DEFAULT_URL } else { &record.url };
    page.row_not_empty("Description", &record.description)
        .row("Server URLs", url)
        .row_not_empty("SOCKS5 Proxy", &record.socks_proxy)
        .row_not_empty("Username", &record.user)
        .row_not_empty("Password", &"*".repeat(record.password.len()))
        .row_not_empty("Token", &"*".repeat(record.token.len()));
    for (label, reference) in [
        ("Credentials", &record.creds),
        ("User JWT", &record.user_jwt),
        ("User Seed", &record.user_seed),
        ("NKey", &record.nkey),
        ("Certificate", &record.cert),
        ("Key", &record.key),
        ("CA", &record.ca),
    ] {
        faults += credential(&mut page, label, reference);
    }
    page.row_if(record.tls_first, "TLS First", true)
        .row_not_empty("JS API Prefix", &record.jetstream_api_prefix)
        .row_not_empty("JS Event Prefix", &record.jetstream_event_prefix)
        .row_not_empty("JS Domain", &record.jetstream_domain)
        .row_not_empty("Inbox Prefix", &record.inbox_prefix)
        .row("Path", shelf.path(name).display().to_string())
        .row_not_empty("Color Scheme", &record.color_scheme);
    if is_connecting {
        faults += connection(&mut page, invocation, record).await;
    }
    page.print();
    outln!();
    warn_of_overrides();
    Ok(faults)
}

/// A credential and whether it is there. A secret that stands in the context itself is not shown.
fn credential(page: &mut Columns, label: &str, reference: &str) -> usize {
    if reference.is_empty() {
        return 0;
    }
    let is_literal =
        label.starts_with("User ") && scheme_of(reference).is_none() && !std::path::Path::new(reference).exists();
    let (state, is_fault) = match scheme_of(reference) {
        Some("data") => {
            page.row(label, "embedded data");
            return 0;
        }
        _ if is_literal => {
            page.row(label, "embedded data");
            return 0;
        }
        Some("op") => (paint("1Password", Color::Cyan), false),
        Some("nsc") => (paint("nsc", Color::Cyan), false),
        Some("env") => (paint("runtime environment", Color::Cyan), false),
        _ => file_state(reference.strip_prefix("file://").unwrap_or(reference)),
    };
    page.row(label, format!("{reference} ({state})"));
    usize::from(is_fault)
}

fn file_state(path: &str) -> (String, bool) {
    let path = expand(path);
    let is_readable = std::path::Path::new(&path).is_file() && std::fs::File::open(&path).is_ok();
    if is_readable { (paint("OK", Color::Green), false) } else { (paint("ERROR", Color::Red), true) }
}

async fn connection(page: &mut Columns, invocation: &Invocation, mut record: Record) -> usize {
    if record.url.is_empty() {
        DEFAULT_URL.clone_into(&mut record.url);
    }
    match Line::dial(&record, &invocation.connection_name(), invocation.timeout()).await {
        Ok(_) => {
            page.row("Connection", paint("OK", Color::Green));
            0
        }
        Err(error) => {
            page.row("Connection", paint(&format!("{error:#}"), Color::Red));
            1
        }
    }
}

fn warn_of_overrides() {
    let set: Vec<_> =
        OVERRIDES.into_iter().filter(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty())).collect();
    if !set.is_empty() {
        let warning = paint("WARNING", Color::Red);
        outln!("{warning}: Shell environment overrides in place using {}", set.join(", "));
    }
}
