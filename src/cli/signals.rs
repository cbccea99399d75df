//! Signals: the first one stops what runs where nothing is lost, the second at once.

use tokio::signal::unix::{SignalKind, signal};

use super::exit::Exit;

/// The first Ctrl-C or SIGTERM stops what runs where nothing is lost, the second at once.
pub(super) async fn watch_signals(stop: impl Fn() + Send) -> std::io::Result<()> {
    // From here on the signals no longer end the process by themselves.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // The terminal or the connection is gone: what is on its way is paid for all the same.
    let mut hang_up = signal(SignalKind::hangup())?;
    // A file that may grow no more (`ulimit -f`) is then an error of writing like a full disk, not the end of the process.
    let _too_large = signal(SignalKind::from_raw(signal_hook::consts::SIGXFSZ))?;
    // Either signal means the same, and the second need not be of the same kind.
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping: waiting for answers on their way (again to stop at once)");
    stop();
    next().await;
    // Without the C library's clean-up, which would pull libtorch away from under the student's thread.
    signal_hook::low_level::exit(Exit::Interrupted as i32)
}
