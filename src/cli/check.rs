//! `candist check`

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use candist::Config;

pub(super) fn run(path: &Path) -> Result<()> {
    let config = Config::load(path, None)?;
    let teachers: Vec<&str> = config.teachers.iter().map(candist::config::TeacherConfig::name).collect();
    // Templates, examples, tokenizers and recordings are part of it.
    candist::teacher::open_without_keys(&config, &candist::teacher::ledger::Ledger::new(None))?;
    // So is the student's model: it is opened, and tried on a text.
    candist::student::identity(&config.student)?;
    let out = &mut std::io::stdout().lock();
    writeln!(out, "{} is well-formed", path.display())?;
    writeln!(out, "  task      {} ({} labels)", config.task.name, config.task.labels.len())?;
    writeln!(out, "  corpus    {}", config.corpus.path.display())?;
    writeln!(out, "  teachers  {}", teachers.join(", "))?;
    writeln!(out, "  run       {}", config.run.dir.display())?;
    if !config.corpus.path.exists() {
        tracing::warn!("the corpus {} does not exist yet", config.corpus.path.display());
    }
    Ok(())
}
