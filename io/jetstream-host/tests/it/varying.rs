//! What is different each time, in text that is compared.

/// Nanoseconds since the epoch.
pub(crate) fn is_time(token: &str) -> bool {
    token.len() == 19 && token.bytes().all(|byte| byte.is_ascii_digit())
}

/// Where a value ends.
pub(crate) trait Stop: Copy {
    fn find_in(self, text: &str) -> Option<usize>;
    fn keeps(self) -> usize;
}

impl Stop for char {
    fn find_in(self, text: &str) -> Option<usize> {
        text.find(self)
    }
    fn keeps(self) -> usize {
        self.len_utf8()
    }
}

impl<F: Fn(char) -> bool + Copy> Stop for F {
    fn find_in(self, text: &str) -> Option<usize> {
        text.find(self)
    }
    fn keeps(self) -> usize {
        0
    }
}

/// Puts something else in the place of values that differ from run to run.
pub(crate) fn replace_values(line: &str, begin: &str, stop: impl Stop, with: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some(at) = rest.find(begin) {
        out.push_str(&rest[..at]);
        out.push_str(with);
        let value = &rest[at + begin.len()..];
        let end = stop.find_in(value).map_or(value.len(), |end| end + stop.keeps());
        rest = &value[end..];
    }
    out + rest
}
