//! `candist tail`: the label log as it is, or a part of it, a line an event, byte by byte as it stands there. Also
//! while a run writes it, and across its restarts.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use candist::internal::no_labels;
use candist::{Error, Finals, Follow, LabelEvent, RunDir, RunView, Tail, latest};
use clap::Args;

use super::completion::Completion;
use super::confidence;
use super::place::RunArg;

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    #[command(flatten)]
    run: RunArg,
    /// Wait for more, also for a run that has not begun; ends when the run is complete.
    #[arg(short, long)]
    follow: bool,
    /// Follow for ever: also a corpus that may grow.
    #[arg(long, conflicts_with = "latest")]
    forever: bool,
    /// Begin with this offset.
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Only final labels: a text's when it becomes final, and again only where a later end of the corpus changed it.
    ///
    /// A corpus may grow after its end, so a label is final for good so far. No final label of a text is printed twice; of
    /// several lines with the same id, the last holds.
    #[arg(long = "final")]
    only_final: bool,
    /// One line a text, the event that holds now, in the order of the log; then end.
    ///
    /// What else is asked for (--final, --label, ...) is asked of these events.
    #[arg(long, conflicts_with = "follow")]
    latest: bool,
    /// Only events with this label; an alias will do where RUN is the configuration.
    #[arg(long)]
    label: Option<String>,
    /// Only events with at least this confidence, 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = confidence)]
    min_confidence: f64,
}

/// How often it looks for more where nobody tells it of any. A look is a read and a stat.
const POLL: Duration = Duration::from_millis(100);
/// How often it asks whether the run is complete.
const ASK: Duration = Duration::from_millis(500);

pub(super) fn run(args: &TailArgs) -> Result<()> {
    let follows = args.follow || args.forever;
    let dir = if follows { args.run.dir_to_follow()? } else { args.run.dir()? };
    let mut wanted = Wanted::new(args, &dir, begun(&dir, follows)?)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    if args.latest {
        latest(&dir, |event, line| -> Result<()> {
            if wanted.holds(event) {
                writeln!(out, "{line}")?;
            }
            Ok(())
        })?;
        return Ok(out.flush()?);
    }
    let (mut tail, mut end) = (Tail::new(&dir), End::of(args, &dir));
    loop {
        match tail.poll()? {
            Follow::Event(event, line) => {
                if wanted.is_news(&event)? {
                    writeln!(out, "{line}")?;
                }
            }
            Follow::NewLog => {
                tracing::warn!("a new label log has begun: its events follow, from offset 0");
                // What was final in the old log says nothing about this one.
                wanted.finals = Finals::default();
            }
            Follow::Waiting => {
                // Who reads along gets what there is before anything is waited for.
                out.flush()?;
                if !follows || end.is_reached() {
                    return Ok(());
                }
                if !end.is_near {
                    tail.wait(POLL);
                }
            }
        }
    }
}

/// When following ends.
struct End {
    /// None where it never does.
    completion: Option<Completion>,
    asked: Option<Instant>,
    /// The run was seen to be complete. What it wrote until then is still to be read.
    is_near: bool,
}

impl End {
    fn of(args: &TailArgs, dir: &Path) -> Self {
        Self { completion: (!args.forever).then(|| Completion::of(dir)), asked: None, is_near: false }
    }

    /// To be asked where the log has nothing more: true where it had nothing more after the run was seen to be complete.
    fn is_reached(&mut self) -> bool {
        let Some(completion) = &mut self.completion else { return false };
        if self.is_near {
            return true;
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK) {
            self.asked = Some(Instant::now());
            self.is_near = completion.is_reached();
        }
        false
    }
}

/// The run in `dir`, if it has begun. One that has not can be waited for, where a folder can be.
fn begun(dir: &Path, follow: bool) -> Result<Option<RunView>> {
    let view = match RunDir::view(dir) {
        Ok(view) => Some(view),
        Err(Error::NoRun { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    match (&view, dir.join("labels.jsonl").exists()) {
        (None, false) if !follow => {
            return Err(Error::NoRun { path: dir.to_owned(), missing: "labels.jsonl (use -f to wait for one)" }.into());
        }
        (Some(_), false) if !follow => return Err(no_labels(dir).into()),
        (_, false) => tracing::info!("waiting for labels in {}", dir.display()),
        (_, true) => {}
    }
    Ok(view)
}

/// Which events are printed.
struct Wanted<'a> {
    args: &'a TailArgs,
    /// As the task spells it.
    label: Option<String>,
    /// What was told of final labels; used with `--final` alone.
    finals: Finals,
}

impl<'a> Wanted<'a> {
    /// A label that the run's task does not have is a slip: nothing would ever be printed.
    fn new(args: &'a TailArgs, dir: &Path, view: Option<RunView>) -> Result<Self> {
        let mut label = args.label.clone();
        if let (Some(view), Some(label)) = (view, &mut label) {
            let labels = view.labels();
            // The directory knows names alone, the configuration aliases too.
            let config = args.run.config()?;
            let alias = || {
                let labels = &config.as_ref()?.task.labels;
                Some(labels.name(labels.resolve(label)?))
            };
            let Some(known) = labels.resolve(label).or_else(|| labels.exact(alias()?)) else {
                let near = labels.nearest(label).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
                let message = format!(
                    "has no label {label:?} among those of its task{near} (`candist tail {}` shows what they are)",
                    dir.display()
                );
                return Err(Error::Unfit { path: dir.to_owned(), message }.into());
            };
            // As the log spells it: events are compared by their labels' names.
            labels.name(known).clone_into(label);
        }
        Ok(Self { args, label, finals: Finals::default() })
    }

    /// Of the events that hold now (`--latest`): each is looked at by itself.
    fn holds(&self, event: &LabelEvent) -> bool {
        event.offset >= self.args.from && (event.is_final || !self.args.only_final) && self.passes(event)
    }

    /// Of all events, one after the other. Those before the first offset were told before: they are not printed, but
    /// what they made final is remembered, so that it is not printed again.
    fn is_news(&mut self, event: &LabelEvent) -> Result<bool> {
        let is_news = self.passes(event) && (!self.args.only_final || self.finals.is_new(event)?);
        Ok(is_news && event.offset >= self.args.from)
    }

    fn passes(&self, event: &LabelEvent) -> bool {
        self.label.as_ref().is_none_or(|label| *label == event.label) && event.confidence >= self.args.min_confidence
    }
}
