//! The report of a run: it says what other verbs say, the same files give the same bytes, nothing of a text becomes markup, and it is
//! written nowhere that a slip would cost something.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::Behaviour;
use crate::support::{Finished, Project, Server, openai};
use crate::views::listing;

/// A finished run with a text that no teacher knows and a row that is none.
fn finished(stride: usize) -> Project {
    let project = Project::new(stride);
    let unknown = json!({"id": "unknown", "text": "<img src=x onerror=alert(1)>"});
    project.write("pool.jsonl", &format!("{}{unknown}\nnonsense\n", project.read("pool.jsonl")));
    project.run();
    project
}

fn report(project: &Project, more: &[&str]) -> String {
    project.candist(&[&["report", "run"], more].concat()).expect_exit(0).out
}

fn percent(share: &Value) -> String {
    format!("{:.1}%", 100.0 * share.as_f64().unwrap())
}

/// The text of a page, without its markup.
fn plain(html: &str) -> String {
    let body = html.split_once("<body>").unwrap().1;
    let parts = body.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text);
    let text: String = parts.collect::<Vec<_>>().join(" ").replace("&#39;", "'").replace("&quot;", "\"");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn has_section(html: &str, id: &str) -> bool {
    html.contains(&format!("<section id=\"{id}\">"))
}

#[test]
fn it_says_what_other_verbs_say_and_changes_nothing() {
    let project = finished(16);
    let before = listing(&project.path("run"));
    let html = report(&project, &[]);
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    let text = plain(&html);
    let status: Value = serde_json::from_str(&project.candist(&["status", "run", "--json"]).out).unwrap();
    let texts = &status["texts"];
    assert!(
        text.contains(&format!("{texts} texts were given one of 77 labels each. Three language models were asked")),
        "{text}"
    );
    assert!(text.contains("For 1 text no model named a label") && text.contains("taken from recordings"), "{text}");
    assert!(
        text.contains("Nobody has checked how many labels are right") && text.contains("No label was given"),
        "{text}"
    );
    assert!(text.contains("Complete: every label is final.") && text.contains("Refinery posterior"), "{text}");
    for (id, is_there) in [
        ("figures", true),
        ("labels", true),
        ("teachers", true),
        ("texts", true),
        ("answers", true),
        ("failures", true),
        ("promises", true),
        ("quality", false),
        ("people", false),
    ] {
        assert_eq!(has_section(&html, id), is_there, "{id}");
    }
    assert!(text.contains("Texts without a candidate 1") && text.contains("Rows that cannot be used 1"), "{text}");
    // As many texts with a label as the table's rows say.
    let labels = status["labels"].as_array().unwrap();
    assert!(labels.iter().all(|label| text.contains(label["label"].as_str().unwrap().split('_').next().unwrap())));
    // The same bytes again, as a file and by the configuration.
    project
        .candist(&["report", "config.toml", "--out", "report.html"])
        .expect_exit(0)
        .expect_said("open it in a browser");
    assert!(project.read("report.html") == html && report(&project, &["--out", "-"]) == html);
    assert!(before == listing(&project.path("run")), "something changed");
}

#[test]
fn right_labels_judge_the_run_as_eval_does() {
    let project = finished(16);
    let html = report(&project, &["--gold", "pool_gold.jsonl", "--check"]);
    let told = project.candist(&["eval", "run", "--gold", "pool_gold.jsonl", "--details", "--json"]).expect_exit(0).out;
    let (text, told): (String, Value) = (plain(&html), serde_json::from_str(&told).unwrap());
    assert!(has_section(&html, "quality"));
    let sentence = format!(
        "Of the {} texts whose right label is known, {} have it (95% interval ",
        told["labelled"],
        percent(&told["distilled"])
    );
    assert!(text.contains(&sentence), "{sentence}\n{text}");
    for (what, share) in [
        ("first label alone is right for ", &told["teacher_first"]),
        ("Among the candidates ", &told["coverage"]),
        ("Mean distance (ECE): ", &told["calibration_error"]),
        ("(macro F1) is ", &told["details"]["macro_f1"]),
    ] {
        let said = format!("{what}{}", percent(share));
        assert!(text.contains(&said), "{said}\n{text}");
    }
    assert!(text.contains("Right labels along") || html.contains("aria-label=\"Right labels along the stream\""));
    assert!(text.contains("Checked labels.jsonl: ") && text.contains("all as they were written"), "{text}");
    // A column of the corpus has them as well.
    let gold: Vec<Value> =
        project.read("pool_gold.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let with_gold = |line: &str| {
        let Ok(mut row) = serde_json::from_str::<Value>(line) else { return line.to_owned() };
        let label = gold.iter().find(|gold| gold["id"] == row["id"]).map(|gold| gold["label"].clone());
        row["intent"] = label.unwrap_or_default();
        row.to_string()
    };
    let pool: Vec<String> = project.read("pool.jsonl").lines().map(with_gold).collect();
    project.write("pool.jsonl", &pool.join("\n"));
    let by_column = project.candist(&["report", "config.toml", "--gold-field", "intent", "--check"]).expect_exit(0).out;
    assert!(by_column == html);
    project.candist(&["report", "run", "--gold-field", "intent"]).expect_exit(2).expect_said("a column of the corpus");
    // Of another corpus.
    project.write("other.jsonl", "{\"id\": \"nobody\", \"label\": \"card_arrival\"}\n");
    let other = project.candist(&["report", "run", "--gold", "other.jsonl", "--out", "other.html"]);
    other.expect_exit(2).expect_said("belongs to another corpus");
    assert!(!project.path("other.html").exists() && !project.path(".other.html.part").exists());
}

#[test]
fn an_audited_sample_and_corrections_are_told() {
    let project = finished(16);
    let gold: Vec<Value> =
        project.read("pool_gold.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sample = project.candist(&["audit", "run", "--sample", "60"]).expect_exit(0).out;
    let fill = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        row["gold"] =
            gold.iter().find(|gold| gold["id"] == row["id"]).map(|gold| gold["label"].clone()).unwrap_or_default();
        row.to_string() + "\n"
    };
    project.write("sample.jsonl", &sample.lines().map(fill).collect::<String>());
    let told = project.candist(&["audit", "run", "--gold", "sample.jsonl", "--json"]).expect_exit(0).out;
    let told: Value = serde_json::from_str(&told).unwrap();
    let accuracy = &told["audit"]["accuracy"];
    let text = plain(&report(&project, &["--audited", "sample.jsonl"]));
    let sentence = format!(
        "A person checked {} labels drawn at random: {} of them are right (95% interval {} to {} for all labels)",
        told["audit"]["audited"],
        percent(&accuracy["estimate"]),
        percent(&accuracy["low"]),
        percent(&accuracy["high"])
    );
    assert!(text.contains(&sentence), "{sentence}\n{text}");
    // Labels that people give, before a run has taken them in and after.
    let ids: Vec<&str> = gold.iter().take(3).filter_map(|gold| gold["id"].as_str()).collect();
    for (id, who) in [(ids[0], &["--who", "anna <b>"][..]), (ids[1], &["--who", "anna <b>"]), (ids[2], &[])] {
        project.candist(&[&["correct", "run", "--set", id, "card_arrival"], who].concat()).expect_exit(0);
    }
    for state in ["waiting", "taken in"] {
        let html = report(&project, &[]);
        let text = plain(&html);
        assert!(has_section(&html, "people") && text.contains("3 labels were given by people."), "{state}: {text}");
        assert!(text.contains("anna &lt;b&gt; 2 66.7% nobody said who 1 33.3%"), "{state}: {text}");
        project.run();
    }
    project.candist(&["correct", "run", "--take-back", ids[0]]).expect_exit(0);
    assert!(plain(&report(&project, &[])).contains("anna &lt;b&gt; 1 50.0%"));
}

#[test]
fn nothing_that_a_text_says_becomes_markup() {
    let project = Project::new(1024);
    let nasty = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>&amp;";
    let long = "<x>".repeat(300_000);
    let rows = [
        ("a", nasty),
        ("b <b>", "شكرا جزيلا على المساعدة"),
        ("c", &long),
        ("d", "\u{0}\u{1b}[31m\u{202e}txt"),
        ("e", "-"),
    ];
    let lines = rows.map(|(id, text)| json!({"id": id, "text": text}).to_string());
    project.write("nasty.jsonl", &(lines.join("\n") + "\n"));
    let answers = rows
        .iter()
        .filter(|(id, _)| *id != "e")
        .map(|(id, _)| json!({"id": id, "labels": ["<i>yes</i>", "no \"q\""]}).to_string());
    project.write("said.jsonl", &(answers.collect::<Vec<_>>().join("\n") + "\n"));
    project.write(
        "nasty.toml",
        "[task]\nname = \"<h1>task & \\\"name\\\"\"\nlabels = ['<i>yes</i>', 'no \"q\"']\n[corpus]\npath = \"nasty.jsonl\"\n[[teachers]]\n\
         kind = \"recorded\"\nname = \"<u>teacher</u>\"\npath = \"said.jsonl\"\n[run]\ndir = \"nasty\"\n",
    );
    project.candist(&["run", "nasty.toml"]).expect_exit(0);
    project.candist(&["correct", "nasty", "--set", "e", "<i>yes</i>", "--who", "<s>me</s>"]).expect_exit(0);
    let html = project.candist(&["report", "nasty"]).expect_exit(0).out;
    assert!(html.len() < 100_000, "{}", html.len());
    assert!(
        html.contains("&lt;img src=x onerror=alert(1)&gt;") && html.contains("شكرا") && html.contains("900,000 bytes")
    );
    // All tags and attributes there are.
    let (mut tags, mut attributes) = (BTreeSet::new(), BTreeSet::new());
    let (head, body) = html.split_once("</style>").unwrap();
    for tag in body.split('<').skip(1).filter(|tag| !tag.starts_with('/')) {
        let (inside, _) = tag.split_once('>').unwrap();
        tags.insert(inside.split([' ', '/']).next().unwrap().to_owned());
        attributes
            .extend(inside.split("=\"").filter_map(|part| part.rsplit_once(' ')).map(|(_, name)| name.to_owned()));
    }
    for foreign in ["img", "script", "x", "i", "u", "s", "a", "iframe", "link"] {
        assert!(!tags.contains(foreign), "{foreign}: {tags:?}");
    }
    assert!(tags.contains("blockquote") && tags.len() < 45, "{tags:?}");
    let is_foreign = |name: &String| name.starts_with("on") || ["src", "href", "style"].contains(&name.as_str());
    assert!(!attributes.iter().any(is_foreign), "{attributes:?}");
    assert!(
        head.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"")
            && !head.contains("url(")
    );
    assert!(!html.contains(['\u{0}', '\u{1b}']) && html.contains("dir=\"auto\""));
}

#[test]
fn a_run_that_has_hardly_begun_or_goes_on_is_told_as_it_is() {
    let project = Project::new(16);
    let server = Server::start(&project, Behaviour { latency: Duration::from_millis(40), ..Behaviour::default() });
    let slow = openai(&["all-merged"], &server.url, "").replace("= 64", "= 4\nmin_in_flight = 4");
    project.configure(&slow, "");
    let mut running = project.start(&["run", "config.toml"]);
    while !std::fs::read(project.path("run/labels.jsonl")).is_ok_and(|labels| !labels.is_empty()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut live = 0;
    while running.try_wait().unwrap().is_none() {
        let text = plain(&report(&project, &[]));
        live += u32::from(text.contains("Still running:") && text.contains(" that have come in so far have one of"));
    }
    Finished::of(running.wait_with_output().unwrap()).expect_exit(0);
    assert!(live > 0);
    let text = plain(&report(&project, &[]));
    assert!(text.contains("Complete: every label is final.") && text.contains("Teacher all-merged asked"), "{text}");
    assert!(
        text.contains("tokens) cost is not known, since no prices were configured.") && text.contains("a ranking only"),
        "{text}"
    );
    // Nothing but the line that begins the log.
    std::fs::create_dir(project.path("begun")).unwrap();
    let inputs = project.read("run/inputs.jsonl");
    project.write("begun/inputs.jsonl", &format!("{}\n", inputs.lines().next().unwrap()));
    let begun = project.candist(&["report", "begun"]).expect_exit(0).out;
    let text = plain(&begun);
    assert!(
        text.contains("No text has come in yet") && text.contains("Nothing was answered") && text.contains("Stopped"),
        "{text}"
    );
    assert!(!has_section(&begun, "figures") && !has_section(&begun, "labels") && has_section(&begun, "promises"));
}

#[test]
fn a_report_is_written_over_nothing_but_a_report() {
    let project = finished(64);
    let to = |out: &str| project.candist(&["report", "config.toml", "--out", out]);
    project.write("notes.html", "<h1>mine</h1>");
    to("notes.html").expect_exit(2).expect_said("was not written by candist");
    assert_eq!(project.read("notes.html"), "<h1>mine</h1>");
    to("pool.jsonl").expect_exit(2).expect_said("is a file of the corpus");
    to("run/report.html").expect_exit(2);
    to("none/report.html").expect_exit(2).expect_said("folder that is not there");
    to("run").expect_exit(2);
    to("report.html").expect_exit(0);
    let first = project.read("report.html");
    to("report.html").expect_exit(0);
    assert!(project.read("report.html") == first);
    project.candist(&["report", "nowhere"]).expect_exit(2);
    // A file that looks like one is let be too: an export is no report.
    project.candist(&["export", "run", "--labels", "labels.csv"]).expect_exit(0);
    to("labels.csv").expect_exit(2).expect_said("was not written by candist");
}
