//! `tls-matrix OURS [REFERENCE]` runs every cell and writes `matrix.txt`. `OPENSSL` and `PYTHON` name the programs; Python
//! needs nats-py.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bulwark_tls_matrix::client::Tools;
use bulwark_tls_matrix::{Binary, axes, matrix};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(ours) = words.next() else {
        eprintln!("tls-matrix OURS [REFERENCE]");
        return ExitCode::FAILURE;
    };
    let binary = |name: &str, path: String| Binary { name: name.to_owned(), path: PathBuf::from(path) };
    let reference = words.next().map(|path| binary("reference", path));
    match run(&binary("ours", ours), reference.as_ref()) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(ours: &Binary, reference: Option<&Binary>) -> Result<String, String> {
    let program = |name: &str, usual: &str| std::env::var_os(name).map_or_else(|| usual.into(), PathBuf::from);
    let tools = Tools { openssl: program("OPENSSL", "openssl"), python: program("PYTHON", "python3") };
    let cover = matrix::run(&axes::cover(), ours, reference, &tools)?;
    let refusals = matrix::run(&axes::refusals(), ours, reference, &tools)?;
    let configurations = matrix::configurations(ours, reference)?;
    let table = matrix::table(&cover, &refusals, &configurations)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("matrix.txt");
    std::fs::write(&path, table).map_err(|error| error.to_string())?;
    let rows = || cover.iter().chain(&refusals).chain(&configurations);
    let decided = rows().filter(|row| row.decision().is_ok_and(|decision| decision.is_some())).count();
    Ok(format!(
        "matrix: {} cells that should work, all served; {} refusals alone; {} configurations; {decided} differences, each decided",
        cover.len(),
        refusals.len(),
        configurations.len(),
    ))
}
