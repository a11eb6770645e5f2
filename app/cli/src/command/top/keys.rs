//! Keys that a person presses while a screen is painted.

use tokio::sync::mpsc::{Receiver, channel};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// To end.
    Quit,
    /// To look at something else, by its number from zero.
    View(usize),
    /// To sort by the next column in this direction.
    Column(isize),
    /// To sort the other way round.
    Reverse,
}

/// Keys as they are pressed.
pub(crate) struct Keys {
    pressed: Receiver<Key>,
}

impl Keys {
    /// Listens on a thread of its own: reading a key blocks. The thread ends with the process.
    pub(crate) fn listen() -> Self {
        let (sender, pressed) = channel(16);
        std::thread::spawn(move || {
            let terminal = console::Term::stdout();
            while let Ok(key) = terminal.read_key() {
                let asked = meaning(&key);
                if asked.is_some_and(|asked| sender.blocking_send(asked).is_err()) {
                    return;
                }
            }
        });
        Self { pressed }
    }

    /// The next key; none ever comes when the terminal is gone.
    pub(crate) async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

fn meaning(key: &console::Key) -> Option<Key> {
    Some(match key {
        console::Key::Char('q') | console::Key::Escape | console::Key::CtrlC => Key::Quit,
        console::Key::Char(digit @ '1'..='6') => Key::View(*digit as usize - '1' as usize),
        console::Key::ArrowLeft | console::Key::Char('<') => Key::Column(-1),
        console::Key::ArrowRight | console::Key::Char('>') => Key::Column(1),
        console::Key::Char('r') => Key::Reverse,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_meaning() {
        assert_eq!(meaning(&console::Key::Char('q')), Some(Key::Quit));
        assert_eq!(meaning(&console::Key::Char('3')), Some(Key::View(2)));
        assert_eq!(meaning(&console::Key::ArrowRight), Some(Key::Column(1)));
        assert_eq!(meaning(&console::Key::Char('7')), None);
    }
}
