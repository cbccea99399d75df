//! Formats against each other: what is written by other programs' libraries is read as it was, whatever the format; and what
//! is broken costs no other row.

use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::config::{CorpusFormat, TextFrom};

/// Ids and texts, or places and reasons.
type Pairs = Vec<(String, String)>;

/// Writes the ids and texts of rows.
type Writer = fn(&[(String, String)]) -> Vec<u8>;

fn jsonl(rows: &[(String, String)]) -> Vec<u8> {
    rows.iter()
        .map(|(id, text)| serde_json::json!({"id": id, "text": text, "x": [1]}).to_string() + "\n")
        .collect::<String>()
        .into()
}

fn array(rows: &[(String, String)]) -> Vec<u8> {
    let rows: Vec<_> =
        rows.iter().map(|(id, text)| serde_json::json!({"text": text, "id": id, "x": {"y": "]"}})).collect();
    serde_json::to_vec_pretty(&rows).unwrap()
}

fn cells(rows: &[(String, String)], delimiter: u8) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(["id", "x", "text"]).unwrap();
    rows.iter().for_each(|(id, text)| writer.write_record([id, "", text]).unwrap());
    writer.into_inner().unwrap()
}

fn with_commas(rows: &[(String, String)]) -> Vec<u8> {
    cells(rows, b',')
}

fn with_tabs(rows: &[(String, String)]) -> Vec<u8> {
    cells(rows, b'\t')
}

fn with_semicolons(rows: &[(String, String)]) -> Vec<u8> {
    cells(rows, b';')
}

#[cfg(feature = "parquet")]
fn parquet(rows: &[(String, String)]) -> Vec<u8> {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    let column = |of: fn(&(String, String)) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let more: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows.len() as i64));
    let batch = RecordBatch::try_from_iter([("x", more), ("text", column(|row| &row.1)), ("id", column(|row| &row.0))]);
    let batch = batch.unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// Every format by the ending of its files.
fn formats() -> Vec<(&'static str, Writer)> {
    vec![
        ("jsonl", jsonl),
        ("json", array),
        ("csv", with_commas),
        ("csv", with_semicolons),
        ("tsv", with_tabs),
        #[cfg(feature = "parquet")]
        ("parquet", parquet),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    // In two members, as parallel compressors make them.
    let (a, b) = bytes.split_at(bytes.len() / 2);
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    [member(a), member(b)].concat()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A folder with files of these names and contents, and a corpus of them.
fn corpus_of(files: &[(&str, Vec<u8>)]) -> (TempDir, CorpusConfig) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, content): &(&str, Vec<u8>)| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let paths: Vec<PathBuf> = files.iter().map(write).collect();
    (folder, CorpusConfig { max_line_bytes: 4 << 20, ..CorpusConfig::of(paths) })
}

/// Good rows as ids and texts, and the places of the bad ones with their reasons.
fn read_all(config: &CorpusConfig) -> Result<(Pairs, Pairs)> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut corpus = open(config)?;
    while let Some(Row { line, sample }) = corpus.next_row()? {
        match sample {
            Ok(sample) => good.push((sample.id.0, sample.text)),
            Err(why) => bad.push((format!("{}:{line}", corpus.name()), why)),
        }
    }
    Ok((good, bad))
}

/// The same rows by way of all their columns.
fn read_records(config: &CorpusConfig) -> Pairs {
    let mut records = records(config).unwrap();
    let sample_of = SampleOf::new(config, Settings::CONFIGURATION).unwrap();
    std::iter::from_fn(|| records.next_record().unwrap())
        .map(|record| sample_of.sample(record.fields.unwrap(), Vec::new).unwrap())
        .map(|sample| (sample.id.0, sample.text))
        .collect()
}

/// Rows of all that files have trouble with.
fn rows() -> impl Strategy<Value = Vec<(String, String)>> {
    let text = prop_oneof![
        8 => "[a-z ,;|\t\r\n\"'\\\\{}\\[\\]:\u{0}é€😀אבג]{1,12}",
        1 => "\\PC{1,20}",
        1 => Just("x\"y,\n".repeat(1 << 18)),
    ];
    let text = text.prop_filter("blank texts are bad rows", |text: &String| !text.trim().is_empty());
    prop::collection::vec(text, 1..6).prop_map(|texts| {
        texts.into_iter().enumerate().map(|(number, text)| (format!("{number} \"é,\n"), text)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_format_gives_what_was_written(rows in rows()) {
        for (ending, write) in formats() {
            let content = write(&rows);
            for (packed, content) in [("", content.clone()), (".gz", gzip(&content)), (".zst", zst(&content))] {
                // By name, and by what it begins with.
                for name in [format!("rows.{ending}{packed}"), "rows".to_owned()] {
                    let (_folder, config) = corpus_of(&[(name.as_str(), content.clone())]);
                    let (good, bad) = read_all(&config).unwrap();
                    prop_assert!(bad.is_empty(), "{name}: {bad:?}");
                    prop_assert!(good == rows, "{name}");
                    prop_assert!(read_records(&config) == rows, "{name}");
                    prop_assert_eq!(count(&config, &|| false).unwrap(), Some(rows.len() as u64));
                }
            }
        }
    }

    /// Lines have no ids, and no line feeds.
    #[test]
    fn lines_give_what_was_written(mut texts in prop::collection::vec("a text [a-z ,\"\u{0}é😀א]{0,12}", 1..9)) {
        // Zeros must stay few beside the rest: of many, the file is taken for a binary one.
        texts.push("words ".repeat(120));
        let (_folder, config) = corpus_of(&[("rows.txt.gz", gzip((texts.join("\n") + "\n").as_bytes()))]);
        let (good, _) = read_all(&config).unwrap();
        prop_assert_eq!(good.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), texts);
    }
}

fn numbered(count: usize) -> Vec<(String, String)> {
    (0..count).map(|i| (format!("id-{i}"), format!("text {i}"))).collect()
}

/// All but the one with this number.
fn without(rows: &[(String, String)], number: usize) -> Vec<(String, String)> {
    rows.iter().enumerate().filter(|(at, _)| *at != number).map(|(_, row)| row.clone()).collect()
}

#[test]
fn one_broken_row_is_one_bad_row_in_every_format() {
    let rows = numbered(50);
    let broken = |write: Writer, from: &str, to: &[u8]| {
        let content = write(&rows);
        let at = content.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        [&content[..at], to, &content[at + from.len()..]].concat()
    };
    for (name, content, place) in [
        ("a.jsonl", broken(jsonl, "text 20\"", b"text 20"), "a.jsonl:21"),
        ("b.jsonl", broken(jsonl, "text 20", b"\xff"), "b.jsonl:21"),
        ("c.json", broken(array, "\"text 20\"", b"\"text 20"), "c.json:21"),
        ("d.json", broken(array, "\"text 20\"", b"text"), "d.json:21"),
        ("e.csv", broken(with_commas, "text 20", b"\"text 20"), "e.csv:22"),
        ("f.csv", broken(with_commas, ",text 20", b""), "f.csv:22"),
        ("g.csv", broken(with_commas, "text 20", b"a,b"), "g.csv:22"),
        ("h.csv", broken(with_commas, "text 20", b"\xff"), "h.csv:22"),
        ("i.tsv", broken(with_tabs, "text 20", b"a\tb"), "i.tsv:22"),
    ] {
        let (_folder, config) = corpus_of(&[(name, content)]);
        let (good, bad) = read_all(&config).unwrap();
        assert_eq!(good, without(&rows, 20), "{name}");
        assert_eq!(bad.len(), 1, "{name}: {bad:?}");
        assert_eq!(bad[0].0, place, "{bad:?}");
    }
}

/// Many writers of TSV quote nothing: a quote that makes no sense is one.
#[test]
fn in_a_table_with_tabs_quotes_may_be_text() {
    let content = b"id\ttext\n1\t\"Hi\", she said\n2\t\"never closed\n3\t\"a \"\"b\"\"\tc\"\n".to_vec();
    let (_folder, config) = corpus_of(&[("a.tsv", content)]);
    let (good, bad) = read_all(&config).unwrap();
    let texts: Vec<&str> = good.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["\"Hi\", she said", "\"never closed", "a \"b\"\tc"], "{bad:?}");
}

#[test]
fn a_file_that_is_cut_off_is_told_with_its_place_after_its_rows() {
    let rows = numbered(20_000);
    for (name, content) in [("a.jsonl.gz", gzip(&jsonl(&rows))), ("b.csv.zst", zst(&with_commas(&rows)))] {
        let (_folder, config) = corpus_of(&[(name, content[..content.len() - 100].to_vec())]);
        let mut corpus = open(&config).unwrap();
        let mut read = Vec::new();
        let error = loop {
            match corpus.next_row() {
                Ok(Some(row)) => {
                    let sample = row.sample.unwrap();
                    read.push((sample.id.0, sample.text));
                }
                Ok(None) => panic!("nothing was told"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(read.len() > 1000 && rows.starts_with(&read), "{name}: {} rows", read.len());
        let line = read.len() + if name.starts_with('b') { 2 } else { 1 };
        assert!(error.contains(&format!("{name}:{line}: the file cannot be read beyond line {line}")), "{error}");
        // Cut within a row, and not packed: that row is bad.
        let content = array(&rows);
        let (_folder, config) = corpus_of(&[("c.json", content[..content.len() - 20].to_vec())]);
        let (good, bad) = read_all(&config).unwrap();
        assert_eq!((good.len(), bad.len()), (rows.len() - 1, 1), "{bad:?}");
    }
}

#[cfg(feature = "parquet")]
#[test]
fn a_damaged_page_costs_its_rows_alone() {
    use ::parquet::arrow::ArrowWriter;
    use ::parquet::basic::Compression;
    use ::parquet::file::properties::WriterProperties;
    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    let rows = numbered(5000);
    let column = |of: fn(&(String, String)) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let batch = RecordBatch::try_from_iter([("id", column(|row| &row.0)), ("text", column(|row| &row.1))]).unwrap();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_data_page_row_count_limit(500)
        .set_write_batch_size(100)
        .set_max_row_group_row_count(Some(3000))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let content = writer.into_inner().unwrap();
    let mut damaged = 0;
    for at in (1000..content.len() - 2000).step_by(4999) {
        let mut content = content.clone();
        content[at..at + 64].fill(0xff);
        let (_folder, config) = corpus_of(&[("a.parquet", content)]);
        let Ok((good, bad)) = read_all(&config) else { continue };
        // Bytes of text that became other text cannot be told. Every row is given as it was, or is within a piece that was told.
        let place = |place: &str| place.rsplit_once(':').unwrap().1.parse::<usize>().unwrap();
        let told: Vec<(usize, usize)> = bad
            .iter()
            .filter(|(_, why)| why.contains("the file is damaged"))
            .map(|(from, why)| {
                let last = why.split("row ").nth(1).unwrap().split(':').next().unwrap().parse::<usize>().unwrap();
                (place(from), last)
            })
            .collect();
        let lost: usize = told.iter().map(|(from, to)| to - from + 1).sum();
        let other = bad.len() - told.len();
        assert_eq!(good.len() + other + lost, rows.len(), "{at}: {bad:?}");
        assert!(lost <= 1000, "{at}: {bad:?}");
        damaged += usize::from(lost > 0);
    }
    assert!(damaged > 3, "{damaged}");
}

#[test]
fn rows_of_several_files_have_the_names_of_their_files() {
    let rows = numbered(30);
    let bad = b"nonsense\n".to_vec();
    let (folder, config) = corpus_of(&[
        ("b.jsonl.gz", gzip(&[jsonl(&rows[10..20]), bad.clone()].concat())),
        ("a.csv", with_commas(&rows[..10])),
        ("c.jsonl", [jsonl(&rows[20..]), bad].concat()),
        ("empty.jsonl", Vec::new()),
    ]);
    let config = CorpusConfig { paths: vec![folder.path().join("*")], ..config };
    let (good, bad) = read_all(&config).unwrap();
    assert_eq!(good, rows);
    let places: Vec<&str> = bad.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["b.jsonl.gz:11", "c.jsonl:11"]);
    assert_eq!(count(&config, &|| false).unwrap(), Some(32));
    assert_eq!(count(&config, &|| true).unwrap(), None);
    let mut records = records(&config).unwrap();
    let mut last = String::new();
    while let Some(record) = records.next_record().unwrap() {
        last = format!("{}:{}", records.file(), record.place);
    }
    assert_eq!(last, format!("{}:11", folder.path().join("c.jsonl").display()));
}

#[test]
fn a_text_may_be_made_of_columns() {
    let content = b"id;title;body\n1;A;\"b; c\"\n2;;d\n".to_vec();
    let text = |source: &str| TextFrom::Template(source.to_owned());
    let (_folder, config) = corpus_of(&[("a.csv", content)]);
    let config = CorpusConfig { text: text("{{ title }}. {{ body }}"), ..config };
    assert_eq!(read_all(&config).unwrap().0, [("1".into(), "A. b; c".into()), ("2".into(), ". d".into())]);
    assert_eq!(read_records(&config).len(), 2);
    let config = CorpusConfig { text: text("{{ titel }}. {{ body }}"), ..config };
    let error = open(&config).err().unwrap().to_string();
    assert!(
        error.contains("no field \"titel\" (did you mean \"title\"?), which corpus.text names; it has id, title, body"),
        "{error}"
    );
}

#[test]
fn what_is_no_file_or_holds_nothing_is_refused_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.jsonl");
    let refused = |path: &Path| open(&CorpusConfig::of(vec![path.into()])).err().unwrap().to_string();
    assert!(refused(&path).contains("check the path"));
    assert!(refused(folder.path()).contains("is a folder"));
    assert!(refused(Path::new("/dev/null")).contains("is a device"));
    std::fs::write(&path, " \n\n").unwrap();
    assert!(refused(&path).contains("is empty"));
    std::fs::write(&path, "id,text\n1,a\n").unwrap();
    assert!(refused(&path).contains("is CSV with the columns id, text: set corpus.format to \"csv\""));
    let other = folder.path().join("pool.csv");
    std::fs::write(&other, "id,body\n1,a\n").unwrap();
    let error = refused(&other);
    assert!(
        error.contains("pool.csv has no field \"text\", it has id, body") && error.contains("likely \"body\""),
        "{error}"
    );
    std::fs::write(&other, "id,text\n").unwrap();
    assert!(refused(&other).contains("is empty"));
}

#[test]
fn any_text_is_good_as_lines() {
    let config = CorpusConfig { format: Some(CorpusFormat::Lines), ..CorpusConfig::of(Vec::new()) };
    let lines = |text: &'static str| {
        let settings = Settings { line_numbers: true, ..Settings::FILE };
        read(Box::new(text.as_bytes()), Path::new("in"), &config, settings)?.next_row()
    };
    for text in ["id,text\n", "[\"a\"\n", "\"a\"\n", "{\n"] {
        assert_eq!(lines(text).unwrap().unwrap().sample.unwrap().id.0, "1", "{text:?}");
    }
    assert!(lines("BZh9").is_err());
    assert!(lines("").unwrap().is_none());
}

#[test]
fn a_bomb_in_one_row_is_one_bad_row() {
    // A gigabyte would do as well; some megabytes show that a row is bounded.
    let long = [b"{\"text\": \"".as_slice(), &vec![b'x'; 40 << 20], b"\"}\n{\"text\": \"a\"}\n"].concat();
    let (_folder, config) = corpus_of(&[("a.jsonl.gz", gzip(&long))]);
    let config = CorpusConfig { max_line_bytes: 1 << 20, ..config };
    let (good, bad) = read_all(&config).unwrap();
    assert_eq!((good.len(), bad.len()), (1, 1));
    assert!(bad[0].1.contains("is longer than 1048576 bytes (corpus.max_line_bytes)"), "{bad:?}");
}
