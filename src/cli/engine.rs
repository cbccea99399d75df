//! Two programs share this command line. Loading libtorch takes a fifth of a second of the processor, so `candist` has none: it
//! does what needs no student, and becomes `candist-engine` for the rest.
//!
//! It becomes it, by exec(2): process, files, signals and environment stay, and whoever started `candist` sees one process.
//! That libtorch is not loaded is the linker's doing, which leaves out what nothing calls: only `candist-engine` calls [`run_verb`].

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result, anyhow, bail};

use super::exit::Exit;
use super::voice::Voice;
use super::{Command, batch, check, eval, export, init, plan, predict, run, unless_read_enough};

/// The program's name; it stands beside `candist`.
const ENGINE: &str = "candist-engine";

/// Runs a verb that trains or asks a student, or looks at one.
pub(super) fn run_verb(command: Command, voice: &Voice, quiet: bool) -> Result<Exit> {
    check_version()?;
    let done = match command {
        // It has exit codes of its own; of what prints, a reader that has gone away is no failure.
        Command::Run(args) => return run::run(&args, voice, quiet),
        Command::Predict(args) => predict::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Export(args) => export::run(&args).map(|()| Exit::Complete),
        Command::Plan(args) => plan::run(&args).map(|()| Exit::Complete),
        Command::Batch(command) => batch::run(command).map(|()| Exit::Complete),
        Command::Eval(args) => eval::run(&args).map(|()| Exit::Complete),
        command => bail!("{command:?} is done by candist itself"),
    };
    unless_read_enough(done)
}

/// Says to the engine which candist it stands beside.
const VERSION: (&str, &str) = ("CANDIST_STARTED_BY", env!("CARGO_PKG_VERSION"));

/// An engine of another version has another command line, and may write what candist does not read.
///
/// # Errors
///
/// Where candist, which started this, is of another version.
fn check_version() -> Result<()> {
    let (name, own) = VERSION;
    match std::env::var(name) {
        Ok(other) if other != own => {
            bail!("candist is version {other}, and candist-engine beside it is {own}: install both together")
        }
        _ => Ok(()),
    }
}

/// Goes on as the engine, with the same arguments. Comes back only where that fails, and says what to do.
pub(super) fn become_engine() -> anyhow::Error {
    // Links are followed: who links candist into another folder need not link both.
    let program = match std::env::current_exe().context("cannot tell where candist stands") {
        Ok(program) => program,
        Err(error) => return error,
    };
    let engine = program.with_file_name(ENGINE);
    // By the name that was called: `--help` and errors print it.
    let error = std::process::Command::new(&engine)
        .arg0("candist")
        .args(std::env::args_os().skip(1))
        .env(VERSION.0, VERSION.1)
        .exec();
    anyhow!(error).context(format!(
        "cannot start {}, which trains and asks students; it is built (`make build`) and installed with candist, and belongs \
         beside it",
        engine.display()
    ))
}
