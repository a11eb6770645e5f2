//! From the command line and the file to settings: the one way in.

use conf::{Map, Place};
use secret::Secret;

use crate::check;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::flags::{self, Flags, Instead, Mistake, TlsChoice};
use crate::report::{Report, World};
use crate::settings::Settings;
use crate::support::{Feature, Support};
use crate::tls;
use crate::top::Draft;

/// What the process is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Serve.
    Run,
    /// The configuration is right: print this on standard error and end with 0.
    Test(String),
    /// Print the version on standard output and end with 0.
    Version,
    /// Print the usage on standard output and end with 0.
    Help,
    /// Print what can be said about TLS on standard output and end with 0.
    HelpTls,
    /// Send a signal to a running server and end.
    Signal {
        /// `ldm`, `stop`, `quit`, `term`, `reopen` or `reload`; not checked yet.
        command: String,
        /// A process id, a file with one, or the beginning of one with `*`; empty to look for the process.
        target: String,
    },
}

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings. Those of the defaults, where the action is not to run.
    pub settings: Settings,
    /// What is odd; printed on standard error before the server starts.
    pub warnings: Vec<Diagnostic>,
    /// Lines for the log: options that are accepted and have nothing to do.
    pub notices: Vec<String>,
    /// The file, if one was given.
    pub config_file: Option<String>,
    /// `sha256:` and the hash of the file's content, if one was given.
    pub digest: Option<String>,
    /// What to do.
    pub action: Action,
}

/// Reads the command line (without the program's name) and the file it names.
///
/// # Errors
/// Everything that is wrong, all at once. With `-t` warnings count as errors.
pub fn load(args: &[String], world: World<'_>) -> Result<Loaded, Diagnostics> {
    load_with(args, world, &Support::today())
}

/// The same for a server that can do more, or less.
///
/// # Errors
/// See [`load`].
pub fn load_with(args: &[String], world: World<'_>, support: &Support) -> Result<Loaded, Diagnostics> {
    let flags = flags::parse(args).map_err(refused)?;
    if let Some(instead) = &flags.instead {
        return instead_of_running(instead);
    }
    if flags.is_test && flags.config_file.is_none() {
        let text = "must specify [-c, --config] option to check configuration file syntax";
        return Err(Diagnostics::error(Diagnostic::plain(text)));
    }
    let file = match &flags.config_file {
        Some(path) => Some(read_tree(path, world)?),
        None => None,
    };
    read_all(&flags, file, world, support)
}

/// Reads a configuration text without a command line.
///
/// # Errors
/// See [`load`].
pub fn load_text(file: &str, text: &str, world: World<'_>, support: &Support) -> Result<Loaded, Diagnostics> {
    let tree = parse(file, Secret::new(text.as_bytes().to_vec()), world)?;
    let flags = Flags { config_file: Some(file.to_owned()), ..Flags::default() };
    read_all(&flags, Some(tree), world, support)
}

fn refused(mistake: Mistake) -> Diagnostics {
    let (text, is_usage) = match mistake {
        Mistake::Usage(text) => (text, true),
        Mistake::Meaning(text) => (text, false),
    };
    Diagnostics { is_usage, ..Diagnostics::error(Diagnostic::plain(text)) }
}

fn instead_of_running(instead: &Instead) -> Result<Loaded, Diagnostics> {
    let action = match instead {
        Instead::Version => Action::Version,
        Instead::Help => Action::Help,
        Instead::HelpTls => Action::HelpTls,
        Instead::Signal(text) => {
            let (command, target) = text.split_once('=').unwrap_or((text, ""));
            if target.contains('=') {
                let rest: Vec<&str> = target.split('=').skip(1).collect();
                let text = format!("invalid signal parameters: [{}]", rest.join(" "));
                return Err(Diagnostics::error(Diagnostic::plain(text)));
            }
            Action::Signal { command: command.to_owned(), target: target.to_owned() }
        }
    };
    let settings = Settings::default();
    Ok(Loaded { settings, warnings: Vec::new(), notices: Vec::new(), config_file: None, digest: None, action })
}

fn read_tree(path: &str, world: World<'_>) -> Result<Map, Diagnostics> {
    let text = (world.read_file)(path).map_err(|why| Diagnostics::error(Diagnostic::plain(why)))?;
    parse(path, text, world)
}

fn parse(path: &str, text: Secret<Vec<u8>>, world: World<'_>) -> Result<Map, Diagnostics> {
    let outside = conf::World::new(world.environment, world.read_file);
    conf::parse(path, text, &outside)
        .map_err(|errors| Diagnostics { errors: errors.iter().map(diagnostic).collect(), ..Diagnostics::default() })
}

fn diagnostic(error: &conf::Error) -> Diagnostic {
    let told = Diagnostic::at(&error.place, error.to_string());
    match error.remedy() {
        Some(remedy) => told.with_remedy(remedy),
        None => told,
    }
}

fn read_all(flags: &Flags, file: Option<Map>, world: World<'_>, support: &Support) -> Result<Loaded, Diagnostics> {
    let mut report = Report::new(world, support.opens_certificates());
    let mut draft = Draft::default();
    if let (Some(true), Some(path)) = (file.as_ref().map(Map::is_empty), &flags.config_file) {
        report.warnings.push(Diagnostic::plain(format!("{path}: config has no values or is empty")));
    }
    let digest = file.as_ref().map(|tree| digest_while(tree, || draft.read(tree, &mut report)));
    drop(file);
    read_flags(flags, &mut draft, &mut report);
    let settings = check::finish(draft, support, &mut report);
    let Report { warnings, errors, notices, .. } = report;
    if !errors.is_empty() || (flags.is_test && !warnings.is_empty()) {
        return Err(Diagnostics { warnings, errors, is_usage: false });
    }
    let action = match (&flags.config_file, &digest) {
        (Some(path), Some(digest)) if flags.is_test => {
            Action::Test(format!("nats-server: configuration file {path} is valid ({digest})"))
        }
        _ => Action::Run,
    };
    Ok(Loaded { settings, warnings, notices, config_file: flags.config_file.clone(), digest, action })
}

/// The digest of a tree, taken while it is read: with very many accounts each takes its time.
fn digest_while(tree: &Map, read: impl FnOnce()) -> String {
    std::thread::scope(|scope| {
        let digesting = std::thread::Builder::new().name("digest".into()).spawn_scoped(scope, || conf::digest(tree));
        read();
        match digesting {
            Ok(digesting) => digesting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // Without a thread it is taken now.
            Err(_) => conf::digest(tree),
        }
    })
}

/// The command line is read over the file, by the same code.
fn read_flags(flags: &Flags, draft: &mut Draft, report: &mut Report<'_>) {
    if flags.tree.get("store_dir").is_some() {
        draft.settings.jetstream.store_dir = None;
    }
    if flags.closes_cluster {
        draft.settings.cluster.listen.port = None;
    }
    draft.read(&flags.tree, report);
    match flags.tls.choice() {
        Ok(TlsChoice::AsConfigured) => {}
        Ok(TlsChoice::Off) => draft.settings.tls = None,
        Ok(TlsChoice::Block(block)) => {
            let place = Place::new("--tls", 0, 0);
            tls::open(&block, &place, tls::Context::Listener, report);
            report.needs(Feature::Tls, &place);
            draft.settings.tls = Some(*block);
        }
        Err(why) => report.plain(why),
    }
}
