//! A PostgreSQL of a test's own, in a temporary folder, on a free port of loopback.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// See the module. It ends with the test.
pub(crate) struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// None where there is no PostgreSQL here, which is said; unless the environment's CANDIST_NEEDS_POSTGRES says that there must
    /// be one.
    #[expect(clippy::print_stderr, reason = "who reads a test's output should know what was not tested")]
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let message = "no PostgreSQL here (initdb and postgres): shared runs are not tested";
            assert!(std::env::var_os("CANDIST_NEEDS_POSTGRES").is_none(), "{message}");
            eprintln!("{message}");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut postgres = Self { folder, programs, port, server: None };
        postgres.give_to_nobody();
        let mut initdb = postgres.command("initdb");
        initdb.arg("-D").arg(&data).args(["-U", "candist", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let done = initdb.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        postgres.begin();
        Some(postgres)
    }

    /// The database's address.
    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// The address of a database that is reached by way of another port.
    pub(crate) fn url_at(port: u16) -> String {
        format!("postgres://candist@127.0.0.1:{port}/postgres")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server again, and waits until it answers.
    pub(crate) fn begin(&mut self) {
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.folder.path().join("data"));
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60"] {
            server.args(["-c", setting]);
        }
        // As some have it: what is committed is on disk a little later, unless who commits asks for more.
        server.args(["-c", "synchronous_commit=off", "-c", "wal_writer_delay=10s"]);
        server.args(["-p", &self.port.to_string()]);
        self.server = Some(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let patience = Instant::now() + Duration::from_secs(60);
        while self.try_ask("SELECT 1").is_none() {
            assert!(Instant::now() < patience, "PostgreSQL does not start in {}", self.folder.path().display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the server at once, as a power cut would (but for the disk's cache).
    pub(crate) fn crash(&mut self) {
        if let Some(mut server) = self.server.take() {
            // "Immediate shutdown": no checkpoint, no goodbye; the next start recovers from the log.
            let _ = Command::new("kill").args(["-QUIT", &server.id().to_string()]).status();
            server.wait().unwrap();
        }
    }

    /// What a query gives, unaligned, rows by line.
    pub(crate) fn ask(&self, sql: &str) -> String {
        self.try_ask(sql).unwrap_or_else(|| panic!("{sql}"))
    }

    fn try_ask(&self, sql: &str) -> Option<String> {
        let asked = Command::new(self.programs.join("psql")).args(["-XAtq", &self.url(), "-c", sql]).output().unwrap();
        asked.status.success().then(|| String::from_utf8(asked.stdout).unwrap().trim().to_owned())
    }

    /// Has the server speak TLS from now on, with a certificate for localhost; gives who vouches for it.
    pub(crate) fn encrypt(&self) -> PathBuf {
        let folder = self.folder.path();
        let openssl = |args: &str| {
            let made = Command::new("openssl").args(args.split(' ')).current_dir(folder).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        };
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=vouches -days 2");
        openssl("req -newkey rsa:2048 -nodes -keyout data/server.key -out server.csr -subj /CN=localhost");
        std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE").unwrap();
        openssl(
            "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile names -out data/server.crt -days 2",
        );
        let secret = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(folder.join("data/server.key"), secret).unwrap();
        self.give_to_nobody();
        self.ask("ALTER SYSTEM SET ssl = on");
        self.ask("SELECT pg_reload_conf()");
        folder.join("ca.crt")
    }

    /// PostgreSQL does not run as root: then it is nobody's.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if !is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(program);
        // Not in the folder of whoever runs the tests, which may be closed to nobody.
        command.current_dir(self.folder.path()).process_group(0);
        command
    }

    fn give_to_nobody(&self) {
        if is_root() {
            let given = Command::new("chown").args(["-R", "nobody:nogroup"]).arg(self.folder.path()).status().unwrap();
            assert!(given.success());
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.crash();
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// The folder of the newest PostgreSQL's programs, or the one that the environment names.
fn programs() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("CANDIST_POSTGRES") {
        return Some(folder.into());
    }
    let mut folders: Vec<PathBuf> = glob::glob("/usr/lib/postgresql/*/bin").unwrap().filter_map(Result::ok).collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(|version| version.file_name()?.to_str()?.parse::<u32>().ok());
        std::cmp::Reverse(version.unwrap_or_default())
    });
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    folders.into_iter().find(|folder| ["initdb", "postgres", "psql"].iter().all(|name| folder.join(name).is_file()))
}
