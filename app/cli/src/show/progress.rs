//! Progress bars, on a terminal only: a pipe gets none.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts things.
pub(crate) fn bar(total: u64, label: &str) -> ProgressBar {
    styled(total, label, "{prefix}{wide_bar} {human_pos}/{human_len} [{elapsed_precise}] {per_sec}")
}

/// A bar that counts bytes.
pub(crate) fn bytes_bar(total: u64, label: &str) -> ProgressBar {
    styled(
        total,
        label,
        "{prefix}{wide_bar} {binary_bytes}/{binary_total_bytes} [{elapsed_precise}] {binary_bytes_per_sec}",
    )
}

fn styled(total: u64, label: &str, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is a constant").progress_chars("█▉▊▋▌▍▎▏░");
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_style(style);
    bar.set_prefix(if label.is_empty() { String::new() } else { format!("{label} ") });
    bar
}
