//! A person at a terminal: a pseudo terminal, what is typed into it and what its screen has shown.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Nothing here takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Columns and rows of the screen.
const SIZE: (u16, u16) = (100, 40);

/// A command that runs on a terminal.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    shown: Receiver<Vec<u8>>,
    screen: String,
}

impl Terminal {
    pub(crate) fn run(command: Command) -> Self {
        Self::of_size(command, SIZE)
    }

    pub(crate) fn of_size(mut command: Command, (columns, rows): (u16, u16)) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo terminal");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("the terminal is unlocked");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).expect("the terminal has a size");
        let name = ptsname(&ours, Vec::new()).expect("the terminal has a name").into_string().expect("a path");
        let theirs = File::options().read(true).write(true).open(name).expect("the terminal opens");
        let share = || Stdio::from(theirs.try_clone().expect("a handle"));
        let child = command.stdin(share()).stdout(share()).stderr(share()).spawn().expect("the program starts");
        let keys = File::from(ours);
        let mut screen = keys.try_clone().expect("a handle");
        let (tell, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                if tell.send(buffer[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { child, keys, shown, screen: String::new() }
    }

    /// Types a line.
    pub(crate) fn types(&mut self, line: &str) -> &mut Self {
        writeln!(self.keys, "{line}").expect("the terminal takes keys");
        self
    }

    /// Waits until the screen has shown this text since the last wait.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen.find(text) {
                self.screen.drain(..at + text.len());
                return self;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.shown.recv_timeout(left) {
                Ok(bytes) => self.screen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} is not shown: {:?}", self.screen),
            }
        }
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupts(&mut self) -> &mut Self {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        self
    }

    /// Waits for the end of the program; gives its code.
    #[track_caller]
    pub(crate) fn ends(mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("the program can be waited for") {
                return status.code().unwrap_or(-1);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the program does not end; the screen shows {:?}", self.screen);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
