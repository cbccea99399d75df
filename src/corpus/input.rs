//! From the bytes of a file to UTF-8 text: decompressed by what they begin with, decoded by a mark or a setting.
//!
//! What is wrong with a text's bytes stays wrong here, and is told with its row: a byte that no encoding has goes on as
//! one that UTF-8 does not have either.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::sniff::{Kind, Packing};

/// Bytes that can be read.
pub(super) type Input = Box<dyn BufRead + Send>;

/// Bytes that are read at once; what a file is, is told by the first of them.
pub(super) const BUFFER: usize = 64 << 10;

/// The window of a zstd frame, as a power of two, at most: what zstd itself takes without being asked.
const WINDOW_LOG: u32 = 27;

/// A byte that is in no UTF-8.
const WRONG: u8 = 0xff;

/// Text, and what its beginning looks like.
pub(super) struct Text {
    pub(super) input: Input,
    /// Its first bytes, which are still to be read too.
    pub(super) head: Vec<u8>,
    /// What it looks like, if not JSONL.
    pub(super) kind: Option<Kind>,
    /// What its rows are not where their bytes are wrong.
    pub(super) encoding: &'static str,
    /// Whether its bytes are those of the input: neither packed nor of another encoding.
    pub(super) is_plain: bool,
    /// Bytes of the mark before it.
    pub(super) mark: u64,
}

impl Text {
    /// The text in `input`, decompressed and decoded. Only its beginning is read.
    pub(super) fn of(input: Input, encoding: Option<&'static Encoding>) -> io::Result<Self> {
        let mut packed = Headed::of(input);
        let packing = Packing::of(&packed.head);
        let mut text = match packing {
            Some(packing) => Headed::of(unpacked(packed, packing)?),
            None => std::mem::take(&mut packed),
        };
        let kind = Kind::of(&text.head);
        let (encoding, mark) = encoding_of(&text.head, kind.as_ref(), encoding);
        if encoding == UTF_8 {
            text.consume(mark);
            let head = text.head.get(mark..).unwrap_or_default().to_vec();
            let (is_plain, mark) = (packing.is_none(), mark as u64);
            return Ok(Self { input: Box::new(text), head, kind, encoding: encoding.name(), is_plain, mark });
        }
        // Its decoder passes over the mark.
        let decoded = Headed::of(Box::new(Decoded::of(Box::new(text), encoding.new_decoder())));
        let head = decoded.head.clone();
        let kind = Kind::of(&head);
        Ok(Self { input: Box::new(decoded), head, kind, encoding: encoding.name(), is_plain: false, mark: 0 })
    }
}

/// The encoding of a text that begins with `head`, and the bytes of UTF-8's mark. A mark is certain; what a person said
/// comes next.
fn encoding_of(head: &[u8], kind: Option<&Kind>, said: Option<&'static Encoding>) -> (&'static Encoding, usize) {
    match Encoding::for_bom(head) {
        Some((encoding, mark)) => (encoding, if encoding == UTF_8 { mark } else { 0 }),
        None => (
            said.unwrap_or(match kind {
                Some(Kind::Utf16Le) => UTF_16LE,
                Some(Kind::Utf16Be) => UTF_16BE,
                _ => UTF_8,
            }),
            0,
        ),
    }
}

/// What is in a compressed file. Several members or frames, one after the other, are one text.
pub(super) fn unpacked(input: Headed, packing: Packing) -> io::Result<Input> {
    let reader: Box<dyn Read + Send> = match packing {
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok(Box::new(BufReader::with_capacity(BUFFER, reader)))
}

/// An input whose beginning was looked at.
#[derive(Default)]
pub(super) struct Headed {
    pub(super) head: Vec<u8>,
    /// Bytes of the head that were taken.
    taken: usize,
    /// Why nothing could be read after the head.
    failed: Option<io::Error>,
    rest: Option<Input>,
}

impl Headed {
    /// Reads the beginning of `input`: a line at least, for a pipe may give a few bytes at a time, and a line is what tells
    /// formats apart.
    pub(super) fn of(mut input: Input) -> Self {
        let (mut head, mut failed) = (Vec::new(), None);
        while head.len() < BUFFER && !head.contains(&b'\n') {
            match input.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    head.extend_from_slice(bytes);
                    let read = bytes.len();
                    input.consume(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What was read before it are rows.
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        Self { head, taken: 0, failed, rest: Some(input) }
    }
}

impl BufRead for Headed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(head) = self.head.get(self.taken..).filter(|head| !head.is_empty()) {
            return Ok(head);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.rest.as_mut().map_or(Ok(&[]), BufRead::fill_buf)
    }

    fn consume(&mut self, bytes: usize) {
        if self.taken < self.head.len() {
            self.taken += bytes;
            return;
        }
        if let Some(rest) = &mut self.rest {
            rest.consume(bytes);
        }
    }
}

impl Read for Headed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

/// [`Read::read`] of what has a buffer of its own.
fn read_buffered(input: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
    let read = input.fill_buf()?.read(buffer)?;
    input.consume(read);
    Ok(read)
}

/// Text of another encoding, as UTF-8.
struct Decoded {
    input: Input,
    decoder: Decoder,
    /// What was decoded and not taken yet: `from..to`.
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    has_ended: bool,
}

impl Decoded {
    fn of(input: Input, decoder: Decoder) -> Self {
        Self { input, decoder, buffer: vec![0; BUFFER], from: 0, to: 0, has_ended: false }
    }

    /// Decodes what the input has next.
    fn decode(&mut self) -> io::Result<()> {
        let bytes = self.input.fill_buf()?;
        let is_last = bytes.is_empty();
        // Room for the sign of what is wrong.
        let room = self.buffer.len() - 1;
        let space = self.buffer.get_mut(..room).unwrap_or_default();
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(bytes, space, is_last);
        self.input.consume(read);
        (self.from, self.to) = (0, written);
        match result {
            DecoderResult::InputEmpty => self.has_ended = is_last,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => {
                if let Some(next) = self.buffer.get_mut(written) {
                    *next = WRONG;
                    self.to += 1;
                }
            }
        }
        Ok(())
    }
}

impl BufRead for Decoded {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.from == self.to && !self.has_ended {
            self.decode()?;
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        self.from = (self.from + bytes).min(self.to);
    }
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// What is read of `bytes`, up to the error if there is one.
    fn read(bytes: &[u8], encoding: Option<&'static Encoding>) -> (Vec<u8>, Option<io::Error>) {
        let mut text = Text::of(Box::new(io::Cursor::new(bytes.to_vec())), encoding).unwrap();
        let mut read = Vec::new();
        let error = text.input.read_to_end(&mut read).err();
        (read, error)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn marks_and_settings_say_how_bytes_are_read() {
        let text = "{\"text\": \"é€😀\"}\n".repeat(9000);
        let (le, be) = (utf16(&text, u16::to_le_bytes), utf16(&text, u16::to_be_bytes));
        for bytes in [
            text.as_bytes().to_vec(),
            [b"\xef\xbb\xbf", text.as_bytes()].concat(),
            [b"\xff\xfe".as_slice(), &le].concat(),
            [b"\xfe\xff".as_slice(), &be].concat(),
            le,
            be,
        ] {
            assert!(read(&bytes, None).0 == text.as_bytes());
            assert!(read(&gzip(&bytes), None).0 == text.as_bytes());
        }
        let latin = Encoding::for_label(b"latin1");
        assert_eq!(read(b"caf\xe9\n", latin).0, "café\n".as_bytes());
        assert_eq!(read("\u{feff}café".as_bytes(), latin).0, "café".as_bytes(), "a mark is certain");
        // What is no text of its encoding stays what no text has: its row is bad, and the next is not.
        assert_eq!(read(b"a\0\0\xd8\n\0b\0", Some(UTF_16LE)).0, b"a\xff\nb");
    }

    #[test]
    fn members_and_frames_are_one_text_and_a_cut_one_is_told_after_what_is_whole() {
        let zstd = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        let line = |from: u32| (from..from + 20_000).map(|i| format!("{i}\n")).collect::<String>().into_bytes();
        for pack in [gzip as fn(&[u8]) -> Vec<u8>, zstd] {
            let both = [pack(&line(0)), pack(&line(20_000))].concat();
            let whole = [line(0), line(20_000)].concat();
            assert!(read(&both, None).0 == whole);
            let (before, error) = read(&both[..both.len() - 50], None);
            assert!(error.is_some());
            assert!(before.len() >= line(0).len() && whole.starts_with(&before), "{}", before.len());
        }
    }
}
