//! The side effect file the tests count: one line per effect, invocation id, tab, label.

use std::fs::{OpenOptions, read_to_string};
use std::io::{Error, Write};

fn path() -> String {
    std::env::var("SIDE_EFFECTS_FILE").expect("SIDE_EFFECTS_FILE names the file of side effects")
}

/// Append one side effect, with one write.
pub fn write(id: &str, label: &str) -> Result<(), Error> {
    let mut file = OpenOptions::new().append(true).open(path())?;
    file.write_all(format!("{id}\t{label}\n").as_bytes())
}

pub fn written(id: &str, label: &str) -> Result<u32, Error> {
    let line = format!("{id}\t{label}");
    let content = read_to_string(path())?;
    Ok(content.lines().filter(|found| *found == line).count() as u32)
}

/// Write one attempt, and fail it when it is one of the first `failing`.
pub fn attempt(id: &str, failing: u32) -> Result<u32, Error> {
    write(id, "attempt")?;
    let number = written(id, "attempt")?;
    if number <= failing {
        return Err(Error::other(format!("attempt {number} fails")));
    }
    Ok(number)
}
