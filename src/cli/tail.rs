//! `candist tail`

use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::Result;
use candist::Error;
use candist::domain::event::LabelEvent;
use candist::readers::tail::{Follow, Tail};

use super::TailArgs;

const POLL: Duration = Duration::from_millis(100);

pub(super) fn run(args: &TailArgs) -> Result<()> {
    if !args.follow && !args.dir.join("labels.jsonl").exists() {
        return Err(Error::NoRun { path: args.dir.clone(), missing: "labels.jsonl (use -f to wait for one)" }.into());
    }
    let mut tail = Tail::new(&args.dir);
    let mut out = BufWriter::new(std::io::stdout().lock());
    loop {
        match tail.poll()? {
            Follow::Event(event, line) => {
                if wanted(args, &event) {
                    writeln!(out, "{line}")?;
                }
            }
            Follow::NewLog => tracing::warn!("a new label log has begun: its events follow, from offset 0"),
            Follow::Waiting if args.follow => {
                out.flush()?;
                std::thread::sleep(POLL);
            }
            Follow::Waiting => return Ok(out.flush()?),
        }
    }
}

fn wanted(args: &TailArgs, event: &LabelEvent) -> bool {
    event.offset >= args.from
        && (event.is_final || !args.only_final)
        && args.label.as_ref().is_none_or(|label| *label == event.label)
        && event.confidence >= args.min_confidence
}
