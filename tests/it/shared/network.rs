//! The way to a server, which can be cut: connections end, or bytes stop and nobody is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// What becomes of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open = 0,
    /// Connections end, and none is made.
    Broken = 1,
    /// Nothing comes through, and nothing says so. What was sent comes when the way is open again.
    Silent = 2,
    Gone = 3,
}

const LOOK: Duration = Duration::from_millis(10);

/// See the module.
pub(crate) struct Network {
    port: u16,
    way: Arc<AtomicU8>,
}

impl Network {
    /// A way to a port of this machine.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let network = Self { port: listener.local_addr().unwrap().port(), way: Arc::default() };
        let way = Arc::clone(&network.way);
        std::thread::spawn(move || {
            while is(&way) != Way::Gone as u8 {
                let Ok((here, _)) = listener.accept() else {
                    std::thread::sleep(LOOK);
                    continue;
                };
                if is(&way) == Way::Broken as u8 {
                    continue;
                }
                let Ok(there) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (from, to, way) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&way));
                    std::thread::spawn(move || carry(from, to, &way));
                }
            }
        });
        network
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.store(way as u8, Ordering::SeqCst);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.set(Way::Gone);
    }
}

fn is(way: &AtomicU8) -> u8 {
    way.load(Ordering::SeqCst)
}

/// Carries bytes one way, until either end or the way ends.
fn carry(mut from: TcpStream, mut to: TcpStream, way: &AtomicU8) {
    from.set_nonblocking(false).unwrap();
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match is(way) {
            way if way == Way::Open as u8 => {}
            way if way == Way::Silent as u8 => {
                std::thread::sleep(LOOK);
                continue;
            }
            _ => break,
        }
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        // What was on its way when it was cut is on its way until it is mended.
        while is(way) == Way::Silent as u8 {
            std::thread::sleep(LOOK);
        }
        if is(way) != Way::Open as u8 || to.write_all(buffer.get(..read).unwrap_or_default()).is_err() {
            break;
        }
    }
    for stream in [&from, &to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}
