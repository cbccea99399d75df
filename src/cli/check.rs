//! `candist check`

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use candist::check;
use candist::config::StudentKind;
use candist::{Config, Error};

use super::cuda::load_cuda;

pub(super) fn run(path: &Path) -> Result<()> {
    let config = Config::load(path, None)?;
    if let StudentKind::Encoder(encoder) = &config.student.kind {
        load_cuda(encoder.device);
    }
    let problems = check(&config);
    if !problems.is_empty() {
        return Err(Error::Config { path: path.to_owned(), problems }.into());
    }
    let teachers: Vec<&str> = config.teachers.iter().map(candist::config::TeacherConfig::name).collect();
    let out = &mut std::io::stdout().lock();
    writeln!(out, "{} is well-formed", path.display())?;
    writeln!(out, "  task      {} ({} labels)", config.task.name, config.task.labels.len())?;
    writeln!(out, "  corpus    {}", config.corpus.path.display())?;
    writeln!(out, "  teachers  {}", teachers.join(", "))?;
    writeln!(out, "  run       {}", config.run.dir.display())?;
    for missing in candist::missing_keys(&config) {
        tracing::warn!("{missing}");
    }
    Ok(())
}
