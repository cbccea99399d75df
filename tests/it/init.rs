//! `candist init`: a configuration by flags and by questions, and what each provider is then sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::server::{Answers, Behaviour};
use crate::support::{Finished, Project, Server, latest};

const PROVIDERS: [&str; 10] =
    ["openai", "azure", "openrouter", "anthropic", "gemini", "vllm", "llama.cpp", "ollama", "litellm", "recorded"];

/// A project with a corpus of four columns and no configuration.
fn project() -> Project {
    let project = Project::new(512);
    std::fs::remove_file(project.path("config.toml")).unwrap();
    let row = |number: usize| {
        let section = ["games", "net", "sound"][number % 3];
        let body = format!("This is message number {number} about {section}, in a sentence.");
        json!({"number": number, "title": format!("Message {number}"), "body": body, "section": section}).to_string()
    };
    project.write("messages.jsonl", &((0..60).map(row).collect::<Vec<_>>().join("\n") + "\n"));
    project
}

fn init(project: &Project, more: &[&str]) -> Finished {
    project.candist(&[&["init"], more].concat())
}

#[test]
fn flags_alone_make_a_configuration_that_runs() {
    let project = project();
    let label = |number: usize| ["games", "net", "sound"][number % 3];
    let answers = |number: usize| json!({"id": number.to_string(), "labels": [label(number)]}).to_string();
    project.write("answers.jsonl", &((0..60).map(answers).collect::<Vec<_>>().join("\n") + "\n"));
    let flags =
        ["messages.jsonl", "--labels-from", "section", "--provider", "recorded", "--recording", "answers.jsonl"];
    let said = init(&project, &[&flags[..], &["--out", "mine.toml"]].concat()).expect_exit(0);
    for sentence in [
        "the text is in the column \"body\"",
        "the id is in the column \"number\"",
        "3 labels in the column \"section\" of 60 rows",
        "candist plan mine.toml --show 3",
        "candist run mine.toml --limit 50",
        "candist eval mine.toml --gold-field=section",
    ] {
        assert!(said.err.contains(sentence), "{sentence:?}: {}", said.err);
    }
    let text = project.read("mine.toml");
    assert!(text.starts_with("#:schema ./candist.schema.json\n"), "{text}");
    let schema = project.candist(&["schema", "config"]).expect_exit(0).out;
    assert!(project.read("candist.schema.json") == schema, "the schema beside it is that of the program");
    project.candist(&["check", "mine.toml"]).expect_exit(0);
    project.candist(&["run", "mine.toml"]).expect_exit(0);
    assert!(project.read("runs/messages/labels.jsonl").contains("\"final\":true"));
    let found = project.candist(&["eval", "mine.toml", "--gold-field=section", "--json"]).expect_exit(0).out;
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    assert_eq!((&found["gold"], &found["missing"]), (&json!(60), &json!(0)));
}

#[test]
fn what_is_missing_is_told_at_once_and_nothing_waits_or_is_written() {
    let project = project();
    let none = init(&project, &[]).expect_exit(2);
    for flag in ["CORPUS", "--labels", "--labels-from", "--provider", "openrouter"] {
        assert!(none.err.contains(flag), "{flag}: {}", none.err);
    }
    let azure = init(&project, &["messages.jsonl", "--provider", "azure"]).expect_exit(2);
    assert!(["--base-url", "--model", "--labels"].iter().all(|flag| azure.err.contains(flag)), "{}", azure.err);
    let recorded = init(&project, &["messages.jsonl", "--labels", "a,b", "--provider", "recorded"]).expect_exit(2);
    recorded.expect_said("--recording FILE");
    project.write("numbers.jsonl", "{\"a\": 1}\n");
    let no_text = init(&project, &["numbers.jsonl", "--labels", "a,b", "--provider", "openai"]).expect_exit(2);
    no_text.expect_said("--text-field");
    let with =
        |flags: &[&str]| init(&project, &[&["messages.jsonl", "--provider", "openai"], flags].concat()).expect_exit(2);
    with(&["--labels", "a"]).expect_said("at least two labels");
    with(&["--labels-from", "body"]).expect_said("another value in every row");
    with(&["--labels-from", "nothing"]).expect_said("there are: body, number, section, title");
    with(&["--labels", "a,b", "--text-field", "boddy"]).expect_said("there is no column \"boddy\"");
    with(&["--labels", "a,b", "--text-field", "body", "--id-field", "body"]).expect_said("is the column of the text");
    with(&["--labels", "a,b", "--out", "no/such/folder.toml"]).expect_said("is no folder");
    init(&project, &["none.jsonl", "--labels", "a,b", "--provider", "openai"])
        .expect_exit(2)
        .expect_said("check the path");
    init(&project, &["-", "--labels", "a,b", "--provider", "openai"]).expect_exit(2).expect_said("cannot be looked at");
    init(&project, &["messages.jsonl", "--provider", "opneai"]).expect_exit(2);
    // What could not begin is not written either.
    let missing = ["--recording", "no.jsonl", "--labels", "a,b"];
    init(&project, &[&["messages.jsonl", "--provider", "recorded"], &missing[..]].concat())
        .expect_exit(2)
        .expect_said("nothing was written");
    assert!(!project.path("candist.toml").exists() && !project.path("candist.schema.json").exists());
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_to_go() {
    let project = project();
    let flags = ["messages.jsonl", "--labels", "a,b", "--provider", "ollama"];
    project.write("candist.toml", "mine");
    project.write("candist.schema.json", "mine too");
    init(&project, &flags).expect_exit(2).expect_said("candist.toml is there already");
    assert_eq!(project.read("candist.toml"), "mine");
    let forced = init(&project, &[&flags[..], &["--force"]].concat()).expect_exit(0);
    forced.expect_said("is no schema of candist's");
    assert!(project.read("candist.toml").contains("11434") && project.read("candist.schema.json") == "mine too");
    // A link that leads nowhere is there too.
    std::os::unix::fs::symlink("nowhere.toml", project.path("link.toml")).unwrap();
    init(&project, &[&flags[..], &["--out", "link.toml"]].concat()).expect_exit(2);
    assert!(!project.path("nowhere.toml").exists());
}

#[test]
fn paths_are_relative_to_the_configuration() {
    let project = project();
    std::fs::create_dir_all(project.path("conf/data")).unwrap();
    std::fs::copy(project.path("messages.jsonl"), project.path("conf/data/inside.jsonl")).unwrap();
    let absolute = project.path("messages.jsonl");
    let flags = ["--labels", "a,b", "--provider", "ollama", "--out", "conf/c.toml", "--force"];
    for (corpus, written) in [
        ("messages.jsonl", "path = \"../messages.jsonl\""),
        ("conf/data/inside.jsonl", "path = \"data/inside.jsonl\""),
        (absolute.to_str().unwrap(), &format!("path = {:?}", absolute.to_str().unwrap())),
    ] {
        init(&project, &[&[corpus], &flags[..]].concat()).expect_exit(0);
        let text = project.read("conf/c.toml");
        assert!(text.contains(written), "{written}: {text}");
        project.candist(&["check", "conf/c.toml"]).expect_exit(0);
    }
    assert!(project.path("conf/candist.schema.json").exists());
}

#[test]
fn labels_with_odd_names_come_through() {
    let project = project();
    let odd =
        ["plain", "with \"quotes\" and 'more'", "a\nb", "日本 \u{1f600}", "\u{7f}\u{1}", "#no = [comment]", "\\back"];
    let rows = (0..70).map(|number| json!({"text": format!("text {number}"), "odd\nname": odd[number % odd.len()]}));
    let empty = json!({"text": "of no label", "odd\nname": ""});
    let rows: Vec<String> = rows.chain([empty]).map(|row| row.to_string()).collect();
    project.write("odd.jsonl", &(rows.join("\n") + "\n"));
    let flags = ["odd.jsonl", "--labels-from", "odd\nname", "--provider", "openai"];
    let said = init(&project, &flags).expect_exit(0);
    assert!(said.err.contains("1  rows have none") && !said.err.contains('\u{7f}'), "{}", said.err);
    let config = candist::Config::load(&project.path("candist.toml"), None).unwrap();
    let mut expected = odd.to_vec();
    expected.sort_unstable();
    assert_eq!(config.task.labels.iter().map(|label| label.name.as_str()).collect::<Vec<_>>(), expected);
}

/// First line and headers in lower case, and the body, of each request.
type Heard = Arc<Mutex<Vec<(String, Value)>>>;

/// A server on loopback that answers everything with the label `a`, and keeps what it heard.
fn listen() -> (String, Heard) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let hear = Arc::clone(&hear);
            std::thread::spawn(move || answer(stream.unwrap(), &hear));
        }
    });
    (address, heard)
}

fn answer(mut stream: TcpStream, heard: &Mutex<Vec<(String, Value)>>) {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let count = stream.read(&mut part).unwrap();
        bytes.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap().parse::<usize>().unwrap();
        if body.len() >= length {
            break (head, body.to_owned());
        }
    };
    heard.lock().unwrap().push((head, serde_json::from_str(&body).unwrap()));
    let reply = json!({
        "choices": [{"message": {"content": "{\"labels\": [\"a\"]}"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5},
    })
    .to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {}\r\n\r\n{reply}", reply.len()).unwrap();
}

/// The configuration of a provider, with nothing but what it needs.
fn of_provider(project: &Project, provider: &str) {
    let mut flags = vec!["messages.jsonl", "--labels", "a,b", "--provider", provider, "--force"];
    match provider {
        "azure" => flags.extend(["--base-url", "https://mine.openai.azure.com/openai/v1", "--model", "my-deployment"]),
        "recorded" => flags.extend(["--recording", "teacher_gpt-4.jsonl"]),
        _ => {}
    }
    if provider == "recorded" {
        // Its labels are those of the task.
        project.write("teacher_gpt-4.jsonl", "{\"id\": \"1\", \"labels\": [\"a\"]}\n");
    }
    init(project, &flags).expect_exit(0);
    project.candist(&["check", "candist.toml"]).expect_exit(0);
}

#[test]
fn every_provider_is_sent_what_it_wants() {
    let project = project();
    for provider in PROVIDERS {
        of_provider(&project, provider);
        if provider == "recorded" {
            continue;
        }
        let (server, heard) = listen();
        // The provider's own address, but for where it is.
        let text = project.read("candist.toml");
        let url = text.lines().find_map(|line| line.strip_prefix("base_url = ")).unwrap().trim_matches('"').to_owned();
        let (_, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
        project.write("candist.toml", &text.replace(&url, &format!("{server}/{path}")));
        let mut command =
            project.command(&["run", "candist.toml", "--limit", "3", "--run-dir", &format!("run-{provider}")]);
        for key in [
            "OPENAI_API_KEY",
            "AZURE_OPENAI_API_KEY",
            "OPENROUTER_API_KEY",
            "ANTHROPIC_API_KEY",
            "GEMINI_API_KEY",
            "LITELLM_API_KEY",
        ] {
            command.env(key, format!("the-{key}"));
        }
        Finished::of(command.output().unwrap()).expect_exit(0);
        let heard = heard.lock().unwrap();
        assert_eq!(heard.len(), 3, "{provider}");
        let (head, body) = &heard[0];
        let line = head.lines().next().unwrap();
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or("none");
        let (path, key) = match provider {
            "openai" => ("/v1/", "bearer the-openai_api_key"),
            "azure" => ("/openai/v1/", "none"),
            "openrouter" => ("/api/v1/", "bearer the-openrouter_api_key"),
            "anthropic" => ("/v1/", "bearer the-anthropic_api_key"),
            "gemini" => ("/v1beta/openai/", "bearer the-gemini_api_key"),
            "litellm" => ("/v1/", "bearer the-litellm_api_key"),
            _ => ("/v1/", "none"),
        };
        assert_eq!(line, format!("post {path}chat/completions http/1.1"), "{provider}");
        assert_eq!(header("authorization"), key, "{provider}");
        assert_eq!(
            header("api-key"),
            if provider == "azure" { "the-azure_openai_api_key" } else { "none" },
            "{provider}"
        );
        let form = body.pointer("/response_format/type").and_then(Value::as_str);
        assert_eq!(form, if provider == "anthropic" { None } else { Some("json_schema") }, "{provider}");
        assert_eq!(body["max_tokens"], if provider == "gemini" { 2048 } else { 256 }, "{provider}");
        assert_eq!(body["messages"].as_array().map(Vec::len), Some(2), "{provider}");
        assert!(body["model"].as_str().is_some_and(|model| !model.is_empty()), "{provider}");
    }
}

#[test]
fn azures_older_address_keeps_its_version() {
    let project = project();
    let (server, heard) = listen();
    let url = format!("{server}/openai/deployments/mine?api-version=2024-10-21");
    let flags = ["messages.jsonl", "--labels", "a,b", "--provider", "azure", "--base-url", &url, "--model", "mine"];
    init(&project, &flags).expect_exit(0);
    let mut command = project.command(&["run", "candist.toml", "--limit", "2"]);
    Finished::of(command.env("AZURE_OPENAI_API_KEY", "key").output().unwrap()).expect_exit(0);
    let heard = heard.lock().unwrap();
    assert!(
        heard[0].0.starts_with("post /openai/deployments/mine/chat/completions?api-version=2024-10-21 "),
        "{heard:?}"
    );
}

#[test]
fn plain_http_to_another_machine_is_told_and_allowed() {
    let project = project();
    let flags = ["messages.jsonl", "--labels", "a,b", "--provider", "vllm", "--base-url", "http://gpu.example:8000/v1"];
    init(&project, &flags).expect_exit(0).expect_said("unencrypted");
    assert!(project.read("candist.toml").contains("\nallow_http = true"));
    project.candist(&["check", "candist.toml"]).expect_exit(0);
}

/// `candist init` on a terminal of its own. Each step is what to wait for on the screen, and what to type then. What the
/// terminal showed, and the exit.
fn on_terminal(project: &Project, args: &str, steps: &[(&str, &str)]) -> (String, i32) {
    let program = format!("{} init {args}", env!("CARGO_BIN_EXE_candist"));
    let mut command = Command::new("script");
    command.args(["-qfec", &program, "/dev/null"]).current_dir(project.path("")).env_remove("LD_LIBRARY_PATH");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let shown = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&shown);
    let watching = std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut part) {
            seen.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..count]));
        }
    });
    for (wait_for, typed) in steps {
        for tries in 0.. {
            let is_there = shown.lock().unwrap().contains(wait_for);
            if is_there {
                break;
            }
            assert!(tries < 6000, "{wait_for:?} does not come: {}", shown.lock().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        keyboard.write_all(typed.as_bytes()).unwrap();
    }
    let exit = child.wait().unwrap();
    watching.join().unwrap();
    let shown = shown.lock().unwrap().clone();
    (shown, exit.code().unwrap())
}

#[test]
fn on_a_terminal_everything_is_asked_for() {
    let project = project();
    // A corpus that is not there, and a provider that there is not, are asked for again; empty lines take what is proposed.
    let typed = "none.jsonl\nmessages.jsonl\n\n\n\nSort the messages\nopnai\nollama\n\nqwen3\n";
    let (shown, exit) = on_terminal(&project, "", &[("The corpus", typed)]);
    assert_eq!(exit, 0, "{shown}");
    for sentence in [
        "check the path",
        "messages.jsonl, 60 rows",
        "\"body\" is likely the text: it has the longest values",
        "{{ body }}\" [body]:",
        "The column of the id (- for none: a text then goes by its hash) [number]:",
        "[column section]:",
        "3 labels in the column",
        "there is no \"opnai\"",
        "The server's address [http://127.0.0.1:11434/v1]:",
        "The model (as `ollama list` has it) [llama3.2]:",
        "candist.toml is written",
    ] {
        assert!(shown.contains(sentence), "{sentence:?}: {shown}");
    }
    let config = candist::Config::load(&project.path("candist.toml"), None).unwrap();
    assert_eq!((config.task.labels.len(), config.task.instruction.as_str()), (3, "Sort the messages"));
    assert!(project.read("candist.toml").contains("model = \"qwen3\""));
    // With all flags, or with --yes, nothing is asked.
    let flags = "messages.jsonl --labels a,b --provider openai --yes --force";
    let (shown, exit) = on_terminal(&project, flags, &[]);
    assert!(exit == 0 && !shown.contains("[body]:"), "{shown}");
}

#[test]
fn who_stops_while_being_asked_leaves_no_file() {
    let project = project();
    // Ctrl-D, Ctrl-C, and Ctrl-D after answers of no use.
    let asked = "[body]: ";
    for (typed, exit, said) in [
        ("\u{4}", 2, "nothing was written"),
        ("\u{3}", 130, asked),
        ("x\ny\nz\n{{ bode }}\n\u{4}", 2, "no field \"bode\""),
    ] {
        let (shown, ended) = on_terminal(&project, "messages.jsonl", &[(asked, typed)]);
        assert_eq!(ended, exit, "{typed:?}: {shown}");
        assert!(shown.contains(said), "{typed:?}: {shown}");
        assert!(!project.path("candist.toml").exists() && !project.path("candist.schema.json").exists(), "{typed:?}");
    }
}

/// As `scripts/tutorial.sh` goes, with fewer rows.
#[test]
fn from_a_table_of_texts_to_labels_by_four_commands() {
    const ROWS: usize = 120;
    let project = project();
    let section = |number: usize| ["games", "net", "sound"][number % 3];
    let row = |number: usize| {
        let section = section(number);
        format!("p{number},\"the {section} program of number {number}, \"\"{section}\"\"\nand more\",{section}\n")
    };
    let table: String = (0..ROWS).map(row).collect();
    project.write("packages.csv", &format!("package,description,section\n{table}"));
    let answers = Answers::of_table(&project.path("packages.csv"), "description", "section", 0.25).unwrap();
    let server = Server::answering(answers, Behaviour::default());
    let from = ["packages.csv", "--labels-from", "section", "--out", "packages.toml"];
    let asked = ["--provider", "vllm", "--base-url", &server.url, "--model", "middling"];
    init(&project, &[&from[..], &asked[..]].concat()).expect_exit(0);
    let plan = project.candist(&["plan", "packages.toml", "--show", "1"]).expect_exit(0).out;
    assert!(plan.contains("==== p0, as middling would be asked") && plan.contains("In all: 120 requests"), "{plan}");
    project.candist(&["run", "packages.toml", "--limit", "50"]).expect_exit(0);
    project.candist(&["run", "packages.toml"]).expect_exit(0);
    let stats = server.replay.stats();
    assert_eq!((stats.requests, stats.repeated), (ROWS as u64, 0), "{stats:?}");
    let labels = latest(&crate::support::events(&project.read("runs/packages/labels.jsonl")));
    let right = |label: &str, id: &str| label == section(id[1..].parse().unwrap());
    let first = labels.values().filter(|event| right(&event.candidates[0], &event.id)).count();
    let distilled = labels.values().filter(|event| right(&event.label, &event.id)).count();
    assert_eq!(labels.len(), ROWS);
    assert!((60..110).contains(&first) && distilled > first, "{first} {distilled}");
}
