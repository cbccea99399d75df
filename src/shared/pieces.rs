//! Files in the database, in pieces: each of so many bytes of a file from a place on, packed.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Transaction};

use super::database::PgError;
use super::mirror::Fetched;

/// zstd's: what is faster than sending it.
const LEVEL: i32 = 1;
/// What is fetched together, at most.
const TOGETHER: i64 = 64;

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
            "INSERT INTO pieces (run, file, generation, begins, bytes, packed) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (run, file, generation, begins) DO UPDATE SET bytes = excluded.bytes, packed = excluded.packed",
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
            "SELECT begins, bytes, packed FROM pieces WHERE run = $1 AND file = $2 AND generation = $3 AND begins >= $4
             ORDER BY begins LIMIT $5",
            &[
                (&run, Type::INT8),
                (&file, Type::TEXT),
                (&from.generation, Type::INT8),
                (&begins, Type::INT8),
                (&TOGETHER, Type::INT8),
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
