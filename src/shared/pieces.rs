//! Files in the database, in pieces: each of so many bytes of a file from a place on, packed.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Transaction};

use super::database::{PgError, Session, with_client};
use super::shipping::NOTES;
use crate::base::durable::replace_file;
use crate::error::{Error, Result};

/// zstd's: what is faster than sending it.
const LEVEL: i32 = 1;
/// What is fetched together, at most: pieces, and bytes as they are packed, which a slow way is to bring in time.
const TOGETHER: i64 = 256;
const BYTES: i64 = 4 << 20;

/// What a folder has of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fetched {
    pub(super) generation: i64,
    pub(super) size: u64,
}

/// Bytes of a file of a run.
pub(super) struct Piece<'a> {
    pub(super) run: i64,
    pub(super) file: &'a str,
    pub(super) generation: i64,
    pub(super) begins: u64,
    pub(super) bytes: &'a [u8],
}

/// Puts a piece. The same may be put again.
pub(super) async fn put(transaction: &Transaction<'_>, piece: &Piece<'_>) -> Result<(), PgError> {
    // In memory, of memory: it cannot fail but for want of that, and then it goes as it is.
    let packed = zstd::encode_all(piece.bytes, LEVEL).ok().filter(|packed| packed.len() < piece.bytes.len());
    let (bytes, is_packed) = packed.as_deref().map_or((piece.bytes, false), |packed| (packed, true));
    transaction
        .execute_typed(
            "INSERT INTO pieces (run, file, generation, begins, content, packed) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (run, file, generation, begins) DO UPDATE SET content = excluded.content, packed = excluded.packed",
            &[
                (&piece.run, Type::INT8),
                (&piece.file, Type::TEXT),
                (&piece.generation, Type::INT8),
                (&i64::try_from(piece.begins).unwrap_or(i64::MAX), Type::INT8),
                (&bytes, Type::BYTEA),
                (&is_packed, Type::BOOL),
            ],
        )
        .await?;
    Ok(())
}

/// The next pieces of a file from a place on, without a gap.
pub(super) async fn next(client: &mut Client, run: i64, file: &str, from: Fetched) -> Result<Vec<Vec<u8>>, PgError> {
    let begins = i64::try_from(from.size).unwrap_or(i64::MAX);
    let rows = client
        .query_typed(
            "SELECT begins, content, packed FROM (
                 SELECT begins, content, packed, sum(length(content)) OVER (ORDER BY begins) - length(content) AS before FROM (
                     SELECT begins, content, packed FROM pieces WHERE run = $1 AND file = $2 AND generation = $3 AND begins >= $4
                     ORDER BY begins LIMIT $5
                 ) AS following
             ) AS counted WHERE before < $6 ORDER BY begins",
            &[
                (&run, Type::INT8),
                (&file, Type::TEXT),
                (&from.generation, Type::INT8),
                (&begins, Type::INT8),
                (&TOGETHER, Type::INT8),
                (&BYTES, Type::INT8),
            ],
        )
        .await?;
    let (mut next, mut pieces) = (begins, Vec::new());
    for row in &rows {
        // One that cannot be read is one that is missing.
        let Some(bytes) = unpacked(row).filter(|_| row.get::<_, i64>(0) == next) else { break };
        next += i64::try_from(bytes.len()).unwrap_or_default();
        pieces.push(bytes);
    }
    Ok(pieces)
}

fn unpacked(row: &Row) -> Option<Vec<u8>> {
    let bytes: &[u8] = row.get(1);
    if row.get(2) { zstd::decode_all(bytes).ok() } else { Some(bytes.to_vec()) }
}

/// Brings a file to what the database has. Whether anything was new.
pub(super) async fn fetch_file(
    session: &mut Session,
    run: i64,
    dir: &Path,
    file: &str,
    log: Fetched,
    fetched: &mut Fetched,
) -> Result<bool> {
    let path = dir.join(file);
    let here = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    if *fetched == log && here == log.size {
        return Ok(false);
    }
    if NOTES.contains(&file) {
        // Whoever reads it finds the one before or this one.
        let found = with_client!(session, |client| next(client, run, file, Fetched { size: 0, ..log }));
        if found.iter().map(|piece| piece.len() as u64).sum::<u64>() != log.size {
            return Ok(false);
        }
        replace_file(&path, &found.concat())?;
        *fetched = log;
        return Ok(true);
    }
    if fetched.generation != log.generation || here < fetched.size {
        // Another file in the place of the one before: who follows it sees that by its inode.
        replace_file(&path, b"")?;
        *fetched = Fetched { generation: log.generation, size: 0 };
    }
    let mut writer =
        OpenOptions::new().create(true).append(true).open(&path).map_err(Error::run_file("open", &path))?;
    // What was written and not noted comes again.
    writer.set_len(fetched.size).map_err(Error::run_file("cut", &path))?;
    while fetched.size < log.size {
        let from = *fetched;
        let found = with_client!(session, |client| next(client, run, file, from));
        if found.is_empty() {
            // It was replaced meanwhile: the next look finds what is there.
            break;
        }
        for piece in found {
            writer.write_all(&piece).map_err(Error::run_file("write", &path))?;
            fetched.size += piece.len() as u64;
        }
    }
    Ok(true)
}

/// What the database has of a run's files.
pub(super) async fn logs(client: &mut Client, run: i64) -> Result<Vec<(String, Fetched)>, PgError> {
    let rows =
        client.query_typed("SELECT file, generation, size FROM logs WHERE run = $1", &[(&run, Type::INT8)]).await?;
    let of = |row: &tokio_postgres::Row| {
        let size = u64::try_from(row.get::<_, i64>(2)).unwrap_or_default();
        (row.get(0), Fetched { generation: row.get(1), size })
    };
    Ok(rows.iter().map(of).collect())
}
