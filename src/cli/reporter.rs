//! Shows a live run: a bar on a terminal, a line now and then elsewhere, nothing where it is to be quiet. From the
//! run's counters alone, on a thread of its own: however slow a terminal is, no stage waits for it.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candist::{Phase, Progress, Status};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the bar is drawn.
const REDRAW: Duration = Duration::from_millis(250);
/// How often a line is written where there is no terminal: logs are kept.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Reports until it is dropped; then a last time.
pub(crate) struct Reporter {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Starts to report on `progress`, to `bar`.
    pub(crate) fn start(progress: Arc<Progress>, bar: &ProgressBar, quiet: bool) -> Self {
        // Bar and lines go to stderr: what stdout is does not matter.
        let on_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        if on_terminal && !quiet {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.set_style(style());
        }
        let bar = bar.clone();
        let (end, ended) = mpsc::channel();
        let work = move || {
            let mut said = Instant::now();
            loop {
                // The other end is dropped at the end, which wakes it at once.
                let last = !matches!(ended.recv_timeout(REDRAW), Err(RecvTimeoutError::Timeout));
                bar.set_message(line(&progress.snapshot()));
                bar.tick();
                if !on_terminal && !quiet && !last && said.elapsed() >= LINE_EVERY {
                    tracing::info!("{}", line(&progress.snapshot()));
                    said = Instant::now();
                }
                if last {
                    return;
                }
            }
        };
        // Without a thread to show it, the run goes on unseen.
        let thread = std::thread::Builder::new().name("candist-report".to_owned()).spawn(work).ok();
        Self { end: Some(end), thread }
    }
}

/// One line, cut to the terminal's width: what goes on in the next line would be left there when the bar is drawn again.
fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {elapsed_precise} {wide_msg}").unwrap_or(ProgressStyle::default_spinner())
}

// Waits for the thread, so that nothing is drawn after what the program says at its end.
impl Drop for Reporter {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How far the run is. What went wrong is left out as long as nothing did.
fn line(status: &Status) -> String {
    let mut line = format!(
        "{} texts annotated, {} labelled, {} label events",
        HumanCount(status.placed),
        HumanCount(status.consumed),
        HumanCount(status.events)
    );
    for (count, what) in [(status.failed, "failed"), (status.bad_rows, "bad rows")] {
        if count > 0 {
            line.push_str(&format!(", {} {what}", HumanCount(count)));
        }
    }
    if status.phase == Phase::Settling {
        line.push_str(&format!("; settling, pass {}", status.pass));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::io;
    use std::sync::Mutex;

    /// A terminal that is narrow, and keeps what is written to it.
    #[derive(Debug, Clone)]
    struct Narrow(Arc<Mutex<String>>);

    impl TermLike for Narrow {
        fn width(&self) -> u16 {
            30
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\n")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_is_one_line_on_a_narrow_terminal() {
        let terminal = Narrow(Arc::default());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        bar.set_style(style());
        let status = Status { placed: 1_234_567, ..Progress::default().snapshot() };
        bar.set_message(line(&status));
        bar.tick();
        let drawn = terminal.0.lock().unwrap().clone();
        assert!(drawn.contains("1,234,567"), "{drawn:?}");
        assert!(drawn.lines().all(|line| line.trim_end().chars().count() <= 30), "{drawn:?}");
    }
}
