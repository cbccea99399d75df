//! Runs that several processes ask for, over a PostgreSQL of each test's own.

mod network;
mod postgres;

use std::cell::RefCell;
use std::process::Child;
use std::time::{Duration, Instant};

use candist::internal::rng;
use rand::Rng;

use self::network::{Network, Way};
use self::postgres::Postgres;
use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, openai};

/// Places in the code at which who takes over from another machine may die, and who comes back with its own logs.
pub(crate) const PLACES: [&str; 4] = ["takeover-fetched", "takeover-moved", "takeover-checkpoint", "logs-brought"];

/// A project whose run is shared.
struct Team {
    project: Project,
    postgres: Postgres,
    server: Server,
    /// Who was started for it.
    started: RefCell<Vec<u32>>,
}

impl Drop for Team {
    /// A test that fails leaves nobody behind who asks a database that is gone.
    fn drop(&mut self) {
        if std::thread::panicking() {
            for process in self.started.take() {
                let _ = std::process::Command::new("kill").args(["-KILL", &process.to_string()]).status();
            }
        }
    }
}

impl Team {
    /// None where there is no PostgreSQL. `teacher` is more of the teacher's configuration, `run` of the run's.
    fn new(stride: usize, behaviour: Behaviour, teacher: &str, run: &str) -> Option<Self> {
        let postgres = Postgres::start()?;
        let project = Project::new(stride);
        let server = Server::start(&project, behaviour);
        let team = Self { project, postgres, server, started: RefCell::default() };
        team.configure(teacher, run);
        Some(team)
    }

    fn configure(&self, teacher: &str, run: &str) {
        self.configure_at(&self.postgres.url(), teacher, run);
    }

    fn configure_at(&self, url: &str, teacher: &str, run: &str) {
        let shared = format!("shared = \"{url}\"\n{run}");
        self.project.configure(&asked_at(&self.server.url, teacher), &shared);
    }

    fn texts(&self) -> u64 {
        self.project.read("pool.jsonl").lines().count() as u64
    }

    /// The labels of the same run as one machine's own.
    fn alone(&self, teacher: &str) -> String {
        let server = Server::start(&self.project, Behaviour::default());
        self.project.configure(&asked_at(&server.url, teacher), "");
        self.project.run();
        let labels = self.project.labels();
        self.project.remove_run();
        labels
    }

    fn worker(&self) -> Child {
        self.start(&["work", &self.postgres.url()])
    }

    fn trainer(&self) -> Child {
        self.start(&["run", "config.toml", "--train-only"])
    }

    fn start(&self, args: &[&str]) -> Child {
        let child = self.project.start(args);
        self.started.borrow_mut().push(child.id());
        child
    }
}

/// The teacher at an address, with `more` of its configuration.
fn asked_at(url: &str, more: &str) -> String {
    let teacher = openai(&["all-merged"], url, more);
    if more.contains("max_in_flight") { teacher.replacen("max_in_flight = 64\n", "", 1) } else { teacher }
}

/// Lets a process end as Ctrl-C does.
fn interrupt(child: &Child) {
    signal(child, "-INT");
}

fn signal(child: &Child, signal: &str) {
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// How a process ended, within two minutes.
#[track_caller]
fn ended(mut child: Child) -> Finished {
    let patience = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > patience {
            child.kill().unwrap();
            let said = Finished::of(child.wait_with_output().unwrap());
            panic!("it waits for ever:\n{}\n{}", said.out, said.err);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Finished::of(child.wait_with_output().unwrap())
}

/// Waits until `found` gives something.
#[track_caller]
fn until(mut found: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !found() {
        assert!(Instant::now() < patience, "it does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn slow() -> Behaviour {
    Behaviour { latency: Duration::from_millis(30), ..Behaviour::default() }
}

#[test]
fn labels_are_those_of_one_machine_however_many_ask() {
    let Some(team) = Team::new(16, Behaviour::default(), "", "") else { return };
    let expected = team.alone("");
    team.configure("", "");
    for workers in [0, 1, 2, 4] {
        let before = team.server.replay.stats().requests;
        team.postgres.ask("DROP SCHEMA IF EXISTS candist CASCADE");
        let children: Vec<Child> = (0..workers).map(|_| team.worker()).collect();
        // Without workers the run asks by itself.
        let trainer = if workers == 0 { team.start(&["run", "config.toml"]) } else { team.trainer() };
        ended(trainer).expect_exit(0);
        for child in children {
            interrupt(&child);
            ended(child).expect_exit(130);
        }
        assert!(team.project.labels() == expected, "{workers} workers");
        assert_eq!(team.server.replay.stats().requests - before, team.texts(), "{workers} workers");
        assert_eq!(team.postgres.ask("SELECT count(*) FROM candist.questions"), "0");
        assert_eq!(team.postgres.ask("SELECT count(*) FROM candist.waiting"), "0");
        team.project.remove_run();
    }
    // Another run with the same questions, from another directory, on the answers that are there.
    let before = team.server.replay.stats().requests;
    team.configure("", "shared_name = \"again\"");
    ended(team.trainer()).expect_exit(0);
    assert!(team.project.labels() == expected);
    assert_eq!(team.server.replay.stats().requests, before);
}

#[test]
fn answers_that_were_paid_for_before_are_not_paid_for_again() {
    let Some(team) = Team::new(32, Behaviour::default(), "", "") else { return };
    team.project.configure(&openai(&["all-merged"], &team.server.url, ""), "");
    team.project.run();
    let (asked, expected) = (team.server.replay.stats().requests, team.project.labels());
    let url = team.postgres.url();
    team.project
        .candist(&["import-answers", &url, "run"])
        .expect_exit(0)
        .expect_said("answers are new in the database, 0 were");
    team.project.candist(&["import-answers", &url, "run"]).expect_exit(0).expect_said("0 answers are new");
    team.project.remove_run();
    team.configure("", "");
    ended(team.trainer()).expect_exit(0);
    assert!(team.project.labels() == expected);
    assert_eq!(team.server.replay.stats().requests, asked);
}

#[test]
fn whoever_is_killed_the_labels_come_and_nothing_is_paid_twice_but_what_was_in_flight() {
    let rounds = crate::support::count("CANDIST_KILLS", 2) as u64;
    let Some(mut team) = Team::new(if rounds > 4 { 4 } else { 12 }, slow(), "max_tokens = 64\n", "") else { return };
    let teacher = "max_tokens = 64\n";
    let expected = team.alone(teacher);
    for round in 0..rounds {
        team.postgres.ask("DROP SCHEMA IF EXISTS candist CASCADE");
        team.server = Server::start(&team.project, slow());
        team.configure(teacher, "");
        let mut rng = rng(round, "team", &[]);
        let mut workers = [team.worker(), team.worker()];
        let mut trainer = team.trainer();
        let (mut worker_kills, mut done) = (0, false);
        for _ in 0..6 {
            std::thread::sleep(Duration::from_millis(rng.random_range(50..700)));
            match rng.random_range(0..4) {
                0 | 1 => {
                    let worker = &mut workers[rng.random_range(0..2)];
                    worker.kill().unwrap();
                    worker.wait().unwrap();
                    *worker = team.worker();
                    worker_kills += 1;
                }
                2 => {
                    trainer.kill().unwrap();
                    done = trainer.wait().unwrap().success();
                    trainer = team.trainer();
                }
                _ => {
                    team.postgres.crash();
                    std::thread::sleep(Duration::from_millis(rng.random_range(0..500)));
                    team.postgres.begin();
                }
            }
        }
        ended(trainer).expect_exit(0);
        for worker in workers {
            interrupt(&worker);
            // One that was just started may not listen to signals yet, and holds nothing.
            let ended = ended(worker);
            assert!(matches!(ended.exit, Some(130) | None), "{:?} {}", ended.exit, ended.err);
        }
        assert!(team.project.labels() == expected, "round {round}");
        let stats = team.server.replay.stats();
        assert!(stats.repeated <= 64 * worker_kills, "round {round}: {worker_kills} workers killed, {stats:?}");
        assert!(!done || stats.repeated == 0 || worker_kills > 0, "{stats:?}");
        team.project.remove_run();
    }
}

#[test]
fn a_network_that_is_cut_costs_time_and_nothing_else() {
    let cuts = crate::support::count("CANDIST_CUTS", 4) as u64;
    let teacher = "max_in_flight = 16\n";
    let Some(team) = Team::new(if cuts > 8 { 1 } else { 6 }, slow(), teacher, "") else { return };
    let expected = team.alone(teacher);
    let [near, far] = [(); 2].map(|()| Network::to(team.postgres.port()));
    let through = |network: &Network| Postgres::url_at(network.port());
    team.configure_at(&through(&near), teacher, "");
    let workers = [&near, &far].map(|network| team.start(&["work", &through(network)]));
    let mut trainer = team.trainer();
    let mut rng = rng(0, "cuts", &[]);
    let mut done = 0;
    while done < cuts && trainer.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(rng.random_range(100..700)));
        let network = if rng.random() { &near } else { &far };
        network.set(if rng.random() { Way::Broken } else { Way::Silent });
        // Shorter than what has a worker given up.
        std::thread::sleep(Duration::from_millis(rng.random_range(50..3000)));
        network.set(Way::Open);
        done += 1;
    }
    assert_eq!(done, cuts, "the run ended before it was cut so often");
    ended(trainer).expect_exit(0);
    for worker in workers {
        interrupt(&worker);
        ended(worker).expect_exit(130);
    }
    assert!(team.project.labels() == expected);
    let stats = team.server.replay.stats();
    assert_eq!((stats.requests, stats.repeated), (team.texts(), 0));
}

#[test]
fn one_trains_and_the_next_takes_over() {
    let Some(team) = Team::new(8, slow(), "max_in_flight = 8\n", "") else { return };
    let expected = team.alone("max_in_flight = 8\n");
    team.configure("max_in_flight = 8\n", "");
    let worker = team.worker();
    let first = team.trainer();
    until(|| team.project.path("run/labels.jsonl").exists() && !team.project.labels().is_empty());
    // A standby, elsewhere.
    let standby = team.start(&["run", "config.toml", "--train-only", "--run-dir", "elsewhere"]);
    std::thread::sleep(Duration::from_secs(1));
    assert!(!team.project.path("elsewhere/labels.jsonl").exists());
    // It is not heard of for long, and comes back.
    signal(&first, "-STOP");
    until(|| team.project.path("elsewhere/labels.jsonl").exists());
    signal(&first, "-CONT");
    ended(first).expect_exit(1).expect_said("another process trains the run");
    ended(standby).expect_exit(0).expect_said("trains the run");
    assert!(team.project.read("elsewhere/labels.jsonl") == expected);
    interrupt(&worker);
    ended(worker).expect_exit(130);
    assert_eq!(team.server.replay.stats().repeated, 0);
}

#[test]
fn what_the_database_says_it_has_is_on_its_disk() {
    let Some(team) = Team::new(64, Behaviour::default(), "", "") else { return };
    // This server says it sooner, unless it is asked not to.
    assert_eq!(team.postgres.ask("SHOW synchronous_commit"), "off");
    team.postgres.ask("CREATE TABLE public.seen (setting text)");
    team.postgres.ask(
        "CREATE FUNCTION public.see() RETURNS event_trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); END $$",
    );
    team.postgres.ask("CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION public.see()");
    team.project.run();
    assert_eq!(team.postgres.ask("SELECT DISTINCT setting FROM public.seen"), "on");
}

#[test]
fn a_budget_holds_over_all_who_spend_it() {
    let price = "max_in_flight = 8\nmax_tokens = 64\nprice = { input = 10.0, output = 1000.0 }\n";
    let behaviour = Behaviour { tokens: Some((20, 20)), latency: Duration::from_millis(10), ..Behaviour::default() };
    let Some(team) = Team::new(16, behaviour, price, "max_cost = 1.5\n") else { return };
    let workers = [team.worker(), team.worker(), team.worker()];
    let stopped = ended(team.trainer());
    stopped.expect_exit(3).expect_said("run.max_cost is reached");
    // As the server counts it, and as the database does: 0.02 an answer and a little for the prompt.
    let stats = team.server.replay.stats();
    let cost = (stats.prompt_tokens * 10 + stats.completion_tokens * 1000) as f64 / 1e6;
    let spent: f64 = team.postgres.ask("SELECT sum(spent) FROM candist.grants").parse().unwrap();
    assert!(cost <= 1.5 && spent <= 1.5, "{cost} {spent}");
    // What is left is less than the dearest that the next request could be.
    assert!(cost > 1.4 && (spent - cost).abs() < 1e-9, "{cost} {spent} {stats:?}");
    // With more money it goes on, and asks nothing twice.
    team.configure(price, "max_cost = 20\n");
    ended(team.trainer()).expect_exit(0);
    let stats = team.server.replay.stats();
    assert_eq!((stats.requests, stats.repeated), (team.texts(), 0));
    // A worker that is killed takes what it held of the budget with it.
    for worker in workers {
        interrupt(&worker);
        ended(worker).expect_exit(130);
    }
    assert_eq!(team.postgres.ask("SELECT count(*) FROM candist.grants WHERE amount > 0"), "0");
}

#[test]
fn limits_per_minute_hold_over_all_who_ask() {
    let limits = "requests_per_minute = 1200\n";
    let behaviour = Behaviour { quota_per_minute: Some((1200, u32::MAX)), ..slow() };
    let Some(team) = Team::new(32, behaviour, limits, "") else { return };
    let workers = [team.worker(), team.worker(), team.worker()];
    let began = Instant::now();
    ended(team.trainer()).expect_exit(0);
    for worker in workers {
        interrupt(&worker);
        ended(worker).expect_exit(130);
    }
    // 20 a second, of which some may come at once.
    let texts = team.texts();
    assert!(began.elapsed().as_secs_f64() > texts as f64 / 40.0, "{texts} in {:?}", began.elapsed());
    assert_eq!(team.postgres.ask("SELECT count(*) > 0 FROM candist.quotas"), "t");
}

#[test]
fn what_keeps_a_team_from_asking_is_told_to_whoever_can_mend_it() {
    let Some(team) = Team::new(64, Behaviour::default(), "api_key_env = \"NO_SUCH_KEY\"\n", "") else { return };
    let url = team.postgres.url();
    // The run that asks by itself, and a worker of this run alone: the key is missing here.
    ended(team.start(&["run", "config.toml"])).expect_exit(2).expect_said("NO_SUCH_KEY");
    let trainer = team.trainer();
    // It waits for somebody who trains the run: by then the trainer listens to signals too.
    ended(team.start(&["work", &url, "--run", "banking77"])).expect_exit(2).expect_said("NO_SUCH_KEY");
    interrupt(&trainer);
    ended(trainer).expect_exit(130);
    // Addresses. One that does not answer is as a server that is down: the same command, later.
    team.project.candist(&["work", "postgres://candist@127.0.0.1:1/x"]).expect_exit(3).expect_said("cannot be reached");
    let nowhere = team.postgres.url().replace("/postgres", "/nowhere");
    team.project.candist(&["work", &nowhere]).expect_exit(1).expect_said("createdb");
    team.project.candist(&["work", "http://x"]).expect_exit(2).expect_said("postgres://USER@HOST/DATABASE");
    team.project.configure(&openai(&["all-merged"], &team.server.url, ""), "shared = \"postgres://ann:pw@host/db\"");
    let told = team.project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("PGPASSWORD");
    assert!(!told.err.contains("ann:pw"), "{}", told.err);
    team.project.configure(&openai(&["all-merged"], &team.server.url, ""), "shared_name = \"x\"");
    team.project.candist(&["run", "config.toml"]).expect_exit(2).expect_said("run.shared");
    team.project.configure(&openai(&["all-merged"], &team.server.url, ""), "shared = \"postgres://ann@host/db?run=x\"");
    team.project.candist(&["check", "config.toml"]).expect_exit(2).expect_said("run.shared_name");
    // Nobody else asks where there is no database.
    team.project.configure(&openai(&["all-merged"], &team.server.url, ""), "");
    team.project.candist(&["run", "config.toml", "--train-only"]).expect_exit(2).expect_said("name the database");
    // Runs that are there are named to whoever asks for another; what is no file of answers is not taken for a damaged one.
    let other = format!("{url}?run=bankin");
    team.project.candist(&["status", &other]).expect_exit(1).expect_said("there is \"banking77\"");
    team.project.candist(&["import-answers", &url, "config.toml"]).expect_exit(2).expect_said("has no answer");
}

#[test]
fn a_server_that_is_to_be_encrypted_must_be_vouched_for() {
    let Some(team) = Team::new(64, Behaviour::default(), "", "") else { return };
    let authority = team.postgres.encrypt();
    let port = team.postgres.port();
    let status = |trusted: &std::path::Path| {
        let url = format!("postgres://candist@localhost:{port}/postgres?sslmode=require&sslrootcert=");
        team.project.candist(&["status", &format!("{url}{}", trusted.display())])
    };
    // The settings are read anew a moment later.
    until(|| status(&authority).err.contains("has no run"));
    // Somebody else, who vouches for himself: that is told at once, and not tried for a while.
    let began = Instant::now();
    let other = crate::support::repository().join("tests/it/shared/other.crt");
    status(&other).expect_exit(1).expect_said("sslrootcert=FILE in the address");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_run_is_looked_at_and_corrected_from_elsewhere() {
    let Some(team) = Team::new(16, slow(), "", "") else { return };
    let cache = tempfile::tempdir().unwrap();
    let url = team.postgres.url();
    let elsewhere = |args: &[&str]| {
        let mut command = team.project.command(args);
        Finished::of(command.env("XDG_CACHE_HOME", cache.path()).output().unwrap())
    };
    elsewhere(&["status", &url]).expect_exit(1).expect_said("has no run: `candist run CONFIG`");
    let worker = team.worker();
    let trainer = team.trainer();
    until(|| team.project.path("run/labels.jsonl").exists());
    // Who follows sees the labels come, and the end.
    let mut tail = team.project.command(&["tail", "-f", &url]);
    let followed = std::fs::File::create(team.project.path("followed.jsonl")).unwrap();
    tail.env("XDG_CACHE_HOME", cache.path()).stdout(followed).stderr(std::process::Stdio::piped());
    let tail = tail.spawn().unwrap();
    ended(trainer).expect_exit(0);
    ended(tail).expect_exit(0);
    assert!(team.project.read("followed.jsonl") == team.project.labels());
    interrupt(&worker);
    ended(worker).expect_exit(130);
    // The same is told as where the run is.
    for args in [["status", "--json"], ["failures", "--json"], ["tail", "--final"]] {
        let [verb, flag] = args;
        let there = elsewhere(&[verb, flag, &url]).expect_exit(0).out;
        let here = team.project.candist(&[verb, flag, "run"]).expect_exit(0).out;
        let named = |out: &str| out.lines().filter(|line| !line.contains("\"run\"")).collect::<Vec<_>>().join("\n");
        assert!(named(&there) == named(&here), "{verb}: {there:.2000}\n{here:.2000}");
    }
    // And the student is the same, whose last checkpoint is there.
    elsewhere(&["export", &url, "--student", "student-there"]).expect_exit(0);
    team.project.candist(&["export", "run", "--student", "student-here"]).expect_exit(0);
    let weights = |folder: &str| std::fs::read(team.project.path(folder).join("model.safetensors")).unwrap();
    assert!(weights("student-there") == weights("student-here"));
    // Where there is no run directory, the configuration says where the run is.
    std::fs::rename(team.project.path("run"), team.project.path("away")).unwrap();
    elsewhere(&["export", "config.toml", "--labels", "labels.csv"]).expect_exit(0);
    std::fs::rename(team.project.path("away"), team.project.path("run")).unwrap();
    team.project.candist(&["export", "run", "--labels", "here.csv"]).expect_exit(0);
    assert!(team.project.read("labels.csv") == team.project.read("here.csv"));
    // A correction is with the trainer when it trains again.
    let wrong = team.project.events().into_iter().next().unwrap();
    let label = if wrong.label == "change_pin" { "card_arrival" } else { "change_pin" };
    let address = format!("{url}?run=banking77");
    elsewhere(&["correct", &address, "--set", &wrong.id, label, "--who", "ann"]).expect_exit(0);
    elsewhere(&["correct", &address, "--set", "no-such-text", label])
        .expect_exit(2)
        .expect_said("banking77 has no text with the id");
    // Of what waits the last that was said holds.
    let other = team.project.events().into_iter().nth(1).unwrap();
    elsewhere(&["correct", &address, "--set", &other.id, label]).expect_exit(0).expect_said("1 corrected");
    elsewhere(&["correct", &address, "--take-back", &other.id]).expect_exit(0).expect_said("1 taken back");
    elsewhere(&["audit", &address, "--end"]).expect_exit(2).expect_said("trained elsewhere");
    ended(team.trainer()).expect_exit(0);
    let corrected = crate::support::latest(&team.project.events()).remove(&wrong.id).unwrap();
    assert_eq!((corrected.label.as_str(), corrected.by), (label, candist::By::Person));
    let taken_back = crate::support::latest(&team.project.events()).remove(&other.id).unwrap();
    assert_ne!(taken_back.by, candist::By::Person);
}

#[test]
fn on_another_machine_a_run_goes_on_where_it_stood() {
    // A text that cannot be answered at first arrives behind the others: an order that no other machine could know.
    let Some(mut team) = Team::new(32, slow(), "max_retries = 0\n", "") else { return };
    let lines: Vec<serde_json::Value> =
        team.project.read("pool.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused = lines[3]["text"].as_str().unwrap().to_owned();
    let failing = Behaviour { fail_texts_with: Some(refused), ..slow() };
    team.server = Server::start(&team.project, failing);
    team.configure("max_retries = 0\n", "");
    ended(team.start(&["run", "config.toml"])).expect_exit(3);
    team.server = Server::start(&team.project, slow());
    team.configure("max_retries = 0\n", "");
    ended(team.start(&["run", "config.toml"])).expect_exit(0);
    let (inputs, labels) = (team.project.read("run/inputs.jsonl"), team.project.labels());
    // Nothing of the run directory is left.
    team.project.remove_run();
    let again = ended(team.trainer()).expect_exit(0);
    assert!(!again.err.contains("new to the run"), "{}", again.err);
    assert!(team.project.read("run/inputs.jsonl") == inputs);
    assert!(team.project.labels() == labels);
    // Another corpus under the same name goes on with the run of the first, which is said however quiet it is to be.
    team.project.remove_run();
    let other = serde_json::json!({"id": "of another corpus", "text": lines[5]["text"]});
    team.project.write("pool.jsonl", &format!("{other}\n"));
    let taken = ended(team.start(&["run", "--quiet", "config.toml", "--train-only"])).expect_exit(0);
    let said = format!("new to the run, which came from elsewhere with {}", lines.len());
    taken.expect_said(&said);
}

#[test]
fn on_another_machine_the_student_goes_on_too() {
    let Some(team) = Team::new(4, slow(), "max_in_flight = 8\n", "") else { return };
    let expected = team.alone("max_in_flight = 8\n");
    team.configure("max_in_flight = 8\n", "");
    let worker = team.worker();
    let first = team.trainer();
    until(|| team.project.path("run/labels.jsonl").exists() && team.project.labels().lines().count() > 200);
    interrupt(&first);
    ended(first).expect_exit(130);
    let checkpoints = "FROM candist.logs WHERE file LIKE 'checkpoints/%'";
    assert_eq!(team.postgres.ask(&format!("SELECT count(*) {checkpoints}")), "1");
    // Elsewhere it is there before the logs are opened.
    let name = team.postgres.ask(&format!("SELECT file {checkpoints}"));
    let elsewhere = ["run", "config.toml", "--train-only", "--run-dir", "second"];
    // Whoever dies on the way there begins again.
    let dies = |place: &str| team.project.command(&elsewhere).env("FAILPOINTS", place).output().unwrap();
    for place in PLACES.into_iter().filter(|place| place.starts_with("takeover")) {
        for passed in [0, 1] {
            let died = !dies(&format!("{place}={passed}*off->return(abort)")).status.success();
            assert!(died, "{place} is never reached");
            if place == "takeover-checkpoint" {
                break;
            }
        }
    }
    Finished::of(dies("mark-taken=return")).expect_exit(1).expect_said("goes on here").expect_said("mark-taken");
    assert!(!team.project.path("second/fetching").exists());
    let bytes = |folder: &str| std::fs::read(team.project.path(folder).join(&name)).unwrap();
    assert!(bytes("second") == bytes("run"));
    // And nothing was lost that would have to be told.
    let lines = |folder: &str| team.project.read(&format!("{folder}/labels.jsonl")).lines().count();
    let second = team.start(&elsewhere);
    until(|| lines("second") > lines("run") + 50);
    interrupt(&second);
    let second = ended(second).expect_exit(130);
    assert!(!second.err.contains("warning"), "{}", second.err);
    // What it learned since is a newer one.
    assert_ne!(team.postgres.ask(&format!("SELECT file {checkpoints}")), name);
    // Without one all is replayed, and comes out the same.
    team.postgres.ask(&format!("DELETE {checkpoints}"));
    let third = ended(team.start(&["run", "config.toml", "--train-only", "--run-dir", "third"])).expect_exit(0);
    assert!(!third.err.contains("warning"), "{}", third.err);
    assert!(team.project.read("third/labels.jsonl") == expected);
    interrupt(&worker);
    ended(worker).expect_exit(130);
    assert_eq!(team.server.replay.stats().repeated, 0);
}

#[test]
fn who_comes_back_with_older_logs_leaves_those_of_one_directory() {
    let Some(team) = Team::new(4, slow(), "max_in_flight = 8\n", "") else { return };
    let expected = team.alone("max_in_flight = 8\n");
    team.configure("max_in_flight = 8\n", "");
    let worker = team.worker();
    let there = |dir: &str| ["run", "config.toml", "--train-only", "--run-dir", dir].map(str::to_owned);
    let trains = |dir: &str| team.start(&there(dir).each_ref().map(String::as_str));
    let dies = |dir: &str, place: &str| {
        let mut command = team.project.command(&there(dir).each_ref().map(String::as_str));
        Finished::of(command.env("FAILPOINTS", place).output().unwrap())
    };
    let lines = |file: &str| match team.project.path(file).exists() {
        true => team.project.read(file).lines().count(),
        false => 0,
    };
    for (dir, labels) in [("first", 100), ("second", 400)] {
        let mut trainer = trains(dir);
        until(|| lines(&format!("{dir}/labels.jsonl")) > labels);
        // Shipped a moment later.
        std::thread::sleep(Duration::from_millis(500));
        trainer.kill().unwrap();
        trainer.wait().unwrap();
    }
    // The first has less than the second. It dies before that is in its place.
    assert_eq!(dies("first", "logs-brought=return(abort)").exit, None);
    dies("third", "mark-taken=return").expect_exit(1).expect_said("mark-taken");
    for file in ["answers.jsonl", "inputs.jsonl", "labels.jsonl"] {
        let [second, third] = ["second", "third"].map(|dir| team.project.read(&format!("{dir}/{file}")));
        assert!(second.starts_with(&third) && third.lines().count() > 300, "{file}");
    }
    // In their place they are all of the first.
    let first = trains("first");
    until(|| lines("first/labels.jsonl") > 450);
    interrupt(&first);
    ended(first).expect_exit(130);
    ended(trains("fourth")).expect_exit(0);
    assert!(team.project.read("fourth/labels.jsonl") == expected);
    assert_eq!(lines("fourth/answers.jsonl") as u64, team.texts());
    interrupt(&worker);
    ended(worker).expect_exit(130);
    assert_eq!(team.server.replay.stats().repeated, 0);
}
