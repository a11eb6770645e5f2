//! A server under load: started fresh, waited for, stopped when dropped.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::scenario::{Scenario, Setting, Workplace};
use crate::Failure;

/// The longest a server may take to greet.
const START: Duration = Duration::from_secs(20);
/// Two servers need time to find each other.
const MEETING: Duration = Duration::from_secs(2);

pub(crate) struct Rival {
    children: Vec<Child>,
    port: u16,
}

impl Rival {
    pub(crate) fn start(binary: &Path, scenario: &Scenario, workplace: &Workplace) -> Result<Self, Failure> {
        let store = workplace.folder().join("store");
        let _ = fs::remove_dir_all(&store);
        let mut rival = Self { children: Vec::new(), port: free_ports()? };
        for (index, path) in workplace.configurations(scenario.setting, rival.port)?.iter().enumerate() {
            let mut command = Command::new(binary);
            command.arg("-c").arg(path).current_dir(workplace.folder()).stdout(Stdio::null()).stderr(Stdio::null());
            rival.children.push(command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?);
            rival.wait(index)?;
        }
        if matches!(scenario.setting, Setting::Route(_) | Setting::Leaf(_) | Setting::Gateway(_)) {
            thread::sleep(MEETING);
        }
        Ok(rival)
    }

    fn wait(&mut self, index: usize) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        let address = self.address(index);
        while Instant::now() < deadline {
            let greeting = TcpStream::connect(&address).and_then(|mut socket| socket.read(&mut [0; 16]));
            if greeting.is_ok_and(|count| count > 0) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.children[index].try_wait() {
                return Err(format!("the server ended: {status}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("the server does not greet".into())
    }

    fn address(&self, index: usize) -> String {
        let offset = u16::try_from(index).expect("there are two servers at most");
        format!("127.0.0.1:{}", self.port + offset)
    }

    pub(crate) fn url(&self, index: usize) -> String {
        format!("nats://{}", self.address(index))
    }

    pub(crate) fn count(&self) -> usize {
        self.children.len()
    }

    pub(crate) fn ids(&self) -> String {
        self.children.iter().map(|child| child.id().to_string()).collect::<Vec<_>>().join(",")
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Four neighbouring ports that nobody listens on, below those which the system hands out: a thousand logins leave many
/// of these behind in their last state.
fn free_ports() -> Result<u16, Failure> {
    let free = |port: u16| (port..port + 4).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    (12_000..32_000).step_by(4).find(|port| free(*port)).ok_or("no four free ports in a row".into())
}
