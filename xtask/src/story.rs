//! The README's story, told by the built binaries: outputs and exit codes must be what it says.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::Failure;
use crate::shell::{self, root, said, target};

/// The longest the server may take to be ready.
const START: Duration = Duration::from_secs(20);

/// One command of the story and what must come of it.
struct Scene {
    shows: &'static str,
    arguments: &'static [&'static str],
    succeeds: bool,
    says: &'static str,
}

const SCENES: [Scene; 6] = [
    Scene {
        shows: "alice publishes an order",
        arguments: &["pub", "--user", "alice", "--password", "s3cret", "orders.created", "hello"],
        succeeds: true,
        says: "Published 5 bytes to \"orders.created\"",
    },
    Scene {
        shows: "alice may not write an invoice",
        arguments: &["pub", "--user", "alice", "--password", "s3cret", "billing.invoice", "nope"],
        succeeds: false,
        says: "Permissions Violation for Publish to \"billing.invoice\"",
    },
    Scene {
        shows: "alice may not read the orders",
        arguments: &["sub", "--user", "alice", "--password", "s3cret", "--timeout", "2s", "--count", "1", "orders.>"],
        succeeds: false,
        says: "Permissions Violation for Subscription to \"orders.>\"",
    },
    Scene {
        shows: "a wrong password does not log in",
        arguments: &["pub", "--user", "alice", "--password", "wrong", "orders.created", "hello"],
        succeeds: false,
        says: "uthorization",
    },
    Scene {
        shows: "nobody without a name logs in",
        arguments: &["pub", "orders.created", "hello"],
        succeeds: false,
        says: "uthorization",
    },
    Scene {
        shows: "the server is still there",
        arguments: &["rtt", "--user", "alice", "--password", "s3cret", "1"],
        succeeds: true,
        says: "",
    },
];

pub(crate) fn run() -> Result<(), Failure> {
    // One call each: a package that builds both may pick other features than the one a user builds.
    for package in ["bulwark-server", "bulwark-cli"] {
        shell::cargo(&["build", "--locked", "--package", package, "--bins"])?;
    }
    let folder = std::env::temp_dir().join(format!("story-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let told = tell(&folder);
    let _ = fs::remove_dir_all(&folder);
    told
}

fn tell(folder: &Path) -> Result<(), Failure> {
    let server = Server::start(folder)?;
    for scene in &SCENES {
        play(scene, &server.url, folder)?;
    }
    println!("story: {} scenes went as told", SCENES.len());
    Ok(())
}

fn play(scene: &Scene, url: &str, folder: &Path) -> Result<(), Failure> {
    // The person's own contexts and variables are not part of the story.
    let mut command = Command::new(target().join("debug").join("nats"));
    command.args(scene.arguments).env("NATS_URL", url).env("HOME", folder).env("XDG_CONFIG_HOME", folder);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("nats: {error}"))?;
    let heard = said(&output);
    if output.status.success() != scene.succeeds || !heard.contains(scene.says) {
        let expected = if scene.succeeds { "success" } else { "failure" };
        return Err(format!("{}: expected {expected} and {:?}, got {heard}", scene.shows, scene.says));
    }
    println!("  {}", scene.shows);
    Ok(())
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path) -> Result<Self, Failure> {
        let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
        let mut command = Command::new(target().join("debug").join("nats-server"));
        command.arg("-c").arg(root().join("examples").join("story.conf"));
        command.args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"]).arg(folder);
        let copy = log.try_clone().map_err(|error| error.to_string())?;
        let child = command.stdout(copy).stderr(log).spawn().map_err(|error| format!("nats-server: {error}"))?;
        let mut server = Self { child, url: String::new() };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(url) = ports_file(folder).and_then(|path| url_in(&path)) {
                server.url = url;
                return Ok(server);
            }
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("the server ended: {status}\n{}", log_text(folder)));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(format!("the server is not ready\n{}", log_text(folder)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_text(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap_or_default()
}

fn ports_file(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|kind| kind == "ports"))
}

/// The first client address of a ports file.
fn url_in(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.split('"').find(|part| part.starts_with("nats://")).map(str::to_owned)
}
