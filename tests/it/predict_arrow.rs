//! `candist predict --format arrow`: batches of texts in, batches of labels out, by one process.

use std::io::{Read, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use serde_json::Value;

use crate::predict_parts::ENCODER;
use crate::support::{Finished, Project};

/// A project with an exported student.
fn with_student() -> Project {
    let project = Project::new(16);
    project.run();
    project.candist(&["export", "run", "--student", "student"]).expect_exit(0);
    project
}

const PREDICT: [&str; 5] = ["predict", "--student", "student", "--format", "arrow"];

fn texts(texts: &[Option<&str>]) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("text", Arc::new(StringArray::from(texts.to_vec())) as ArrayRef, true)])
        .unwrap()
}

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// What `candist` makes of an input, its output as bytes.
fn fed(project: &Project, args: &[&str], input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut command = project.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    // A program that refuses it does not read it to its end.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    (output.status.code(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

/// Batches of answers as they come, each waited for a minute at most.
fn answers(out: ChildStdout) -> impl FnMut() -> Option<RecordBatch> {
    let (sender, batches) = mpsc::channel();
    std::thread::spawn(move || {
        for batch in StreamReader::try_new(out, None).unwrap() {
            sender.send(batch.unwrap()).unwrap();
        }
    });
    move || match batches.recv_timeout(Duration::from_secs(60)) {
        Ok(batch) => Some(batch),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("an answer does not come"),
    }
}

fn start(project: &Project) -> Child {
    let mut command = project.command(&PREDICT);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn an_encoder_says_the_same_on_any_number_of_threads() {
    let project = Project::new(1);
    let pool = project.read("pool.jsonl");
    let lines: Vec<Option<&str>> =
        pool.lines().enumerate().map(|(at, line)| (at % 7 > 0).then_some(&line[at % 40..])).collect();
    // Fewer than a chunk for each thread, and more.
    let sent = stream(&[texts(&lines[..300]), texts(&lines[300..301]), texts(&lines[301..2301])]);
    let said = ["1", "3"].map(|threads| {
        let predict =
            ["predict", "--student", ENCODER, "--format", "arrow", "--precision", "bf16", "--threads", threads];
        let (exit, out, err) = fed(&project, &predict, &sent);
        assert_eq!(exit, Some(0), "{err}");
        out
    });
    assert!(said[0] == said[1] && said[0].len() > 2301 * 10);
}

#[test]
fn each_batch_is_answered_before_the_next_is_sent_and_as_lines_are() {
    let project = with_student();
    let lines = project.candist(&["predict", "--student", "student", "pool.jsonl"]).expect_exit(0).out;
    let expected: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pool = project.read("pool.jsonl");
    let rows: Vec<Value> = pool.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let mut child = start(&project);
    let (stdin, mut next) = (child.stdin.take().unwrap(), answers(child.stdout.take().unwrap()));
    let schema = texts(&[]).schema();
    let mut writer = StreamWriter::try_new(stdin, &schema).unwrap();
    let mut answered = 0;
    for part in rows.chunks(50) {
        let part: Vec<Option<&str>> = part.iter().map(|row| row["text"].as_str()).collect();
        writer.write(&texts(&part)).unwrap();
        writer.flush().unwrap();
        let answer = next().unwrap();
        assert_eq!(answer.num_rows(), part.len());
        let labels = answer.column_by_name("label").unwrap().as_string::<i32>();
        let confidences = answer.column_by_name("confidence").unwrap().as_primitive::<Float64Type>();
        for row in 0..part.len() {
            let expected = &expected[answered + row];
            assert_eq!(labels.value(row), expected["label"].as_str().unwrap());
            assert!((confidences.value(row) - expected["confidence"].as_f64().unwrap()).abs() < 1e-9);
        }
        answered += part.len();
    }
    writer.finish().unwrap();
    assert!(next().is_none());
    drop(writer);
    Finished::of(child.wait_with_output().unwrap()).expect_exit(0);
    assert_eq!(answered, expected.len());
}

#[test]
fn rows_without_a_text_are_answered_and_strict_counts_them() {
    let project = with_student();
    let input = stream(&[texts(&[Some("where is my card?"), None, Some("")])]);
    let (exit, out, said) = fed(&project, &PREDICT, &input);
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("2 row(s) had no text"), "{said}");
    let batches: Vec<_> = StreamReader::try_new(out.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [3]);
    let strict: Vec<&str> = PREDICT.into_iter().chain(["--strict"]).collect();
    assert_eq!(fed(&project, &strict, &input).0, Some(1));
    // Where it is not sure it names candidates.
    let unsure: Vec<&str> = PREDICT.into_iter().chain(["--min-confidence", "1"]).collect();
    let (_, out, _) = fed(&project, &unsure, &input);
    let batch = StreamReader::try_new(out.as_slice(), None).unwrap().next().unwrap().unwrap();
    assert!(batch.column_by_name("candidates").unwrap().as_list::<i32>().value_length(0) > 1);
    // And from a file.
    std::fs::write(project.path("texts.arrows"), &input).unwrap();
    let named: Vec<&str> = PREDICT.into_iter().chain(["texts.arrows"]).collect();
    assert_eq!(fed(&project, &named, b"").0, Some(0));
}

#[test]
fn what_is_no_stream_is_wrong_input_and_says_what_to_do() {
    let project = with_student();
    let whole = stream(&[texts(&[Some("where is my card?")])]);
    let inputs: [(&[u8], &str); 4] = [
        (b"", "standard input is empty"),
        (b"{\"text\": \"where is my card?\"}\n", "is no Arrow IPC stream"),
        (&whole[..whole.len() - 40], "ends within a batch"),
        (
            &stream(&[texts(&[]).project(&[]).unwrap().with_schema(Arc::new(arrow_schema::Schema::empty())).unwrap()]),
            "has no column \"text\"",
        ),
    ];
    for (input, said) in inputs {
        let (exit, _, err) = fed(&project, &PREDICT, input);
        assert_eq!(exit, Some(2), "{said}: {err}");
        assert!(err.contains(said) && !err.contains("panicked"), "{err}");
    }
    let (exit, out, err) = fed(&project, &["predict", "--student", "nowhere", "--format", "arrow"], &whole);
    assert!(exit == Some(2) && out.is_empty() && err.contains("candist export"), "{err}");
    let lines: Vec<&str> = PREDICT.into_iter().chain(["--encoding", "latin1"]).collect();
    assert_eq!(fed(&project, &lines, &whole).0, Some(2));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let project = with_student();
    let mut child = start(&project);
    // It has what it wanted: the head of the stream.
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 8]).unwrap();
    drop(out);
    let _ = child.stdin.take().unwrap().write_all(&stream(&[texts(&[Some("where is my card?")])]));
    let ended = Finished::of(child.wait_with_output().unwrap()).expect_exit(0);
    assert!(!ended.err.contains("roken pipe"), "{}", ended.err);
}
