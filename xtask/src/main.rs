//! Workspace chores: `cargo xtask generate` rewrites everything that is derived from `content/`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool speaks on its terminal")]

mod catalogue;
mod render;
#[cfg(test)]
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Returns the workspace root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace root").to_path_buf()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("generate"), None) => generate(),
        _ => {
            eprintln!("usage: cargo xtask generate");
            ExitCode::from(2)
        }
    }
}

fn generate() -> ExitCode {
    let root = root();
    let catalogue = match catalogue::load(&root.join("content/catalogue")) {
        Ok(catalogue) => catalogue,
        Err(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            return ExitCode::FAILURE;
        }
    };
    for (path, text) in render::all(&catalogue) {
        let target = root.join(path);
        if let Some(folder) = target.parent()
            && let Err(error) = std::fs::create_dir_all(folder)
        {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
        if let Err(error) = std::fs::write(&target, text) {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
        println!("{path}");
    }
    ExitCode::SUCCESS
}
