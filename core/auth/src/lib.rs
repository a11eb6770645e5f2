//! Who are you, what may you do: verdicts, grants, authorized values
