//! JSON for programs: two blanks of indentation.

use serde::Serialize;

use crate::show::outln;

/// Prints a value as indented JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    outln!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
