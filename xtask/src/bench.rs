//! Side by side with the reference: every run starts fresh servers, the servers take turns (A B A B), ratios are taken
//! pair by pair and the median of them is shown. CPU per message is the figure to trust on a busy machine.

mod accounts;
mod figures;
mod rival;
mod scenario;
mod start;
mod startup;
mod tenants;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Failure;
use crate::{reference, shell};
use rival::Rival;
use scenario::Scenario;

/// What was asked for.
struct Order {
    set: String,
    repeat: usize,
    seconds: String,
    only: Vec<String>,
    rivals: Vec<(String, PathBuf)>,
    write: bool,
}

/// One run of one server.
pub(crate) struct Run {
    scenario: String,
    rival: String,
    repeat: usize,
    values: Value,
}

pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let order = Order::from_words(words)?;
    if order.set == "accounts" {
        println!("\n{}", accounts::run(&order.rivals, order.repeat)?);
        return Ok(());
    }
    if order.set == "tenants" {
        println!("\n{}", tenants::run(&order.rivals, order.repeat)?);
        return Ok(());
    }
    shell::cargo(&["build", "--release", "--locked", "--package", "bulwark-bench"])?;
    if order.set == "js-start" {
        println!("\n{}", startup::run(&order.rivals, order.repeat, &natsload())?);
        return Ok(());
    }
    let chosen = scenario::chosen(&order.set, &order.only)?;
    let workplace = scenario::Workplace::new(&natsload())?;
    let runs = compare(&order, &chosen, &workplace);
    let section = figures::section(&order.set, &order.rivals, &runs);
    println!("\n{section}");
    if order.write {
        figures::write(&order.set, &section)?;
    }
    let failed = runs.iter().filter(|run| run.values["ok"] != true).count();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} runs lost messages or failed")) }
}

fn compare(order: &Order, chosen: &[Scenario], workplace: &scenario::Workplace) -> Vec<Run> {
    let mut runs = Vec::new();
    for repeat in 0..order.repeat {
        for scenario in chosen {
            for (name, binary) in &order.rivals {
                let values = once(scenario, binary, order, workplace);
                if values["ok"] != true {
                    println!("FAILED {} {name}: {}", scenario.name, values["error"]);
                }
                println!("{}/{} {:16} {name:10} {}", repeat + 1, order.repeat, scenario.name, figures::brief(&values));
                runs.push(Run { scenario: scenario.name.clone(), rival: name.clone(), repeat, values });
            }
        }
    }
    runs
}

fn once(scenario: &Scenario, binary: &Path, order: &Order, workplace: &scenario::Workplace) -> Value {
    let outcome = Rival::start(binary, scenario, workplace).and_then(|rival| load(scenario, &rival, order, workplace));
    outcome.unwrap_or_else(|error| serde_json::json!({ "ok": false, "error": error }))
}

fn load(scenario: &Scenario, rival: &Rival, order: &Order, workplace: &scenario::Workplace) -> Result<Value, Failure> {
    let mut command = Command::new(natsload());
    command.args(scenario.arguments.split_whitespace()).args(["--duration", &order.seconds, "--url", &rival.url(0)]);
    command.current_dir(workplace.folder());
    if rival.count() > 1 {
        command.args(["--sub-url", &rival.url(1)]);
    }
    let output = command.args(["--server-pid", &rival.ids(), "--json"]).output().map_err(|error| error.to_string())?;
    let line = shell::text(&output.stdout);
    serde_json::from_str(line.trim()).map_err(|error| format!("{error}: {}", shell::said(&output)))
}

fn natsload() -> PathBuf {
    shell::target().join("release").join("natsload")
}

impl Order {
    fn from_words(words: &[&str]) -> Result<Self, Failure> {
        let mut order = Self {
            set: "quick".into(),
            repeat: 5,
            seconds: "1.5".into(),
            only: Vec::new(),
            rivals: Vec::new(),
            write: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().map(|value| (*value).to_owned()).ok_or(format!("{word} needs a value"));
            match *word {
                "--repeat" => order.repeat = value()?.parse().map_err(|_| "--repeat needs a number")?,
                "--seconds" => order.seconds = value()?,
                "--only" => order.only = value()?.split(',').map(str::to_owned).collect(),
                "--servers" => order.rivals = rivals(&value()?)?,
                "--write" => order.write = true,
                set if !set.starts_with('-') => order.set = set.to_owned(),
                other => return Err(format!("bench does not know {other}")),
            }
        }
        if order.rivals.is_empty() {
            shell::cargo(&["build", "--release", "--locked", "--package", "bulwark-server", "--bin", "nats-server"])?;
            let ours = shell::target().join("release").join("nats-server");
            order.rivals = vec![("reference".into(), reference::server()?), ("bulwark".into(), ours)];
        }
        Ok(order)
    }
}

fn rivals(text: &str) -> Result<Vec<(String, PathBuf)>, Failure> {
    let pairs = text.split(',').map(|pair| pair.split_once('=').ok_or(format!("{pair} is not NAME=BINARY")));
    pairs.map(|pair| pair.map(|(name, binary)| (name.to_owned(), PathBuf::from(binary)))).collect()
}
