//! What a server's start costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::shell;

/// A start that takes longer has failed.
const START_TIME_MAX: Duration = Duration::from_secs(300);

/// Clock ticks per second in `/proc`.
const TICKS_PER_SECOND: f64 = 100.0;

/// One start.
#[derive(Clone, Copy)]
pub(super) struct Start {
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    /// Memory when it was ready, and the most it had on the way.
    pub(super) mebibytes: f64,
    pub(super) peak_mebibytes: f64,
}

impl Start {
    /// The medians of several starts.
    pub(super) fn median(starts: &[Self]) -> Self {
        Self {
            seconds: median(starts, |start| start.seconds),
            cpu_seconds: median(starts, |start| start.cpu_seconds),
            mebibytes: median(starts, |start| start.mebibytes),
            peak_mebibytes: median(starts, |start| start.peak_mebibytes),
        }
    }

    pub(super) fn line(self) -> String {
        let Self { seconds, cpu_seconds, mebibytes, peak_mebibytes } = self;
        format!(
            "ready in {seconds:.3} s, CPU {cpu_seconds:.2} s, memory {mebibytes:.0} MiB, at most {peak_mebibytes:.0}"
        )
    }
}

/// Starts each server `repeat` times, in turn, and tells each start and then the medians. `end` ends a server that was
/// started.
pub(super) fn in_turn(
    rivals: &[(String, PathBuf)],
    repeat: usize,
    mut start: impl FnMut(&str, &Path) -> Result<(Started, Start), Failure>,
    end: impl Fn(Started) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let mut starts: Vec<Vec<Start>> = vec![Vec::new(); rivals.len()];
    for _ in 0..repeat {
        for ((name, binary), starts) in rivals.iter().zip(&mut starts) {
            let (server, cost) = start(name, binary)?;
            println!("{name:10} {}", cost.line());
            starts.push(cost);
            end(server)?;
        }
    }
    let medians = rivals.iter().zip(&starts);
    Ok(medians.map(|((name, _), starts)| format!("{name:10} {}\n", Start::median(starts).line())).collect())
}

/// The middle one of some values.
pub(super) fn median<T>(all: &[T], value: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = all.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A process that ends with the measurement, whatever happens.
pub(super) struct Started {
    child: Child,
    /// Where clients connect.
    pub(super) address: String,
}

impl Started {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// As operators end it.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        shell::read(Command::new("kill").args(["-INT", &self.id().to_string()]))?;
        self.child.wait().map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server with a configuration in this folder and waits until it listens.
pub(super) fn start(binary: &Path, folder: &Path, config: &str) -> Result<(Started, Start), Failure> {
    let ports = folder.join("ports");
    let _ = fs::remove_dir_all(&ports);
    fs::create_dir_all(&ports).map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let mut command = Command::new(binary);
    command.args(["-a", "127.0.0.1", "-p", "-1", "-c"]).arg(folder.join(config));
    command.arg("--ports_file_dir").arg(&ports).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
    let mut started = Started { child, address: String::new() };
    while started.address.is_empty() {
        if begin.elapsed() > START_TIME_MAX {
            return Err(format!("{} was not ready in time", binary.display()));
        }
        if let Ok(Some(status)) = started.child.try_wait() {
            return Err(format!("{} ended: {status}", binary.display()));
        }
        std::thread::sleep(Duration::from_millis(2));
        started.address = address(&ports).unwrap_or_default();
    }
    let cost = cost(begin.elapsed(), started.id());
    Ok((started, cost))
}

/// The client port, once the ports file has it.
fn address(ports: &Path) -> Option<String> {
    let path = fs::read_dir(ports).ok()?.flatten().next()?.path();
    let text = fs::read_to_string(path).ok()?;
    text.split('"').find_map(|part| part.strip_prefix("nats://")).map(str::to_owned)
}

fn cost(elapsed: Duration, process: u32) -> Start {
    let of = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let (stat, status) = (of("stat"), of("status"));
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: f64 = numbers.filter_map(|number| number.parse::<f64>().ok()).sum();
    let mebibytes = |name: &str| {
        let mut lines = status.lines();
        let kibibytes = lines.find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
        kibibytes.unwrap_or_default() / 1024.0
    };
    Start {
        seconds: elapsed.as_secs_f64(),
        cpu_seconds: ticks / TICKS_PER_SECOND,
        mebibytes: mebibytes("VmRSS:"),
        peak_mebibytes: mebibytes("VmHWM:"),
    }
}
