//! What s3 (and servers that speak it), gs and az hold, by way of object_store, which tries again what may go better.
//!
//! An object is read in blocks, of which the last few are kept: readers ask for little at a time, and go back and forth.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path as Key;
use object_store::{
    BackoffConfig, ClientConfigKey, Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutPayload, RetryConfig,
};
use tokio::runtime::{Builder, Runtime};

use super::{Listed, Place, fixed, is_hidden};
use crate::error::{Error, Result, with_causes};

/// Bytes that are asked for at once, and blocks that are kept of an object.
const BLOCK: u64 = 2 << 20;
const BLOCKS: usize = 8;
/// Bytes that are sent at once; what is longer goes in pieces of so many.
const AT_ONCE: u64 = 16 << 20;
const PIECE: u64 = 8 << 20;
/// How long a request is tried again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries, at most. A base of less than e would, by its chance, bring the waits down to nothing.
const BACKOFF: BackoffConfig =
    BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 4.0 };
/// How long one try may take, unless the environment says otherwise: [`AT_ONCE`] goes in one, and there is time for a second.
const TIMEOUT: &str = "45 seconds";
/// Before an object is put again.
const PAUSE: Duration = Duration::from_secs(1);

/// A bucket, or container.
#[derive(Debug, Clone)]
pub(super) struct Cloud {
    store: Arc<dyn ObjectStore>,
    /// The same, where a request is not tried again by itself: what puts an object if there is none does that.
    once: Arc<dyn ObjectStore>,
    /// Whether it was found to know no condition.
    knows_none: Arc<AtomicBool>,
    bucket: String,
}

/// What requests are made on: one for the process.
fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let built = Builder::new_multi_thread().worker_threads(2).thread_name("candist-objects").enable_all().build();
    // Of two that are built at once one is dropped.
    let built = built.map_err(Error::no_thread)?;
    Ok(RUNTIME.get_or_init(|| built))
}

/// The store at `address`, with what the environment says.
fn built(scheme: &str, address: &str, retry: RetryConfig) -> object_store::Result<Arc<dyn ObjectStore>> {
    let said = |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok());
    let timeout = |name: &str| said(&[name]).unwrap_or_else(|| TIMEOUT.to_owned());
    match scheme {
        "s3" => {
            let s3 = AmazonS3Builder::from_env().with_url(address).with_retry(retry);
            let key = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
            s3.with_config(key, timeout("AWS_TIMEOUT")).build().map(|s3| Arc::new(s3) as _)
        }
        "gs" => {
            let gs = GoogleCloudStorageBuilder::from_env().with_url(address).with_retry(retry);
            let key = GoogleConfigKey::Client(ClientConfigKey::Timeout);
            gs.with_config(key, timeout("GOOGLE_TIMEOUT")).build().map(|gs| Arc::new(gs) as _)
        }
        _ => {
            let mut az = MicrosoftAzureBuilder::from_env().with_url(address).with_retry(retry);
            // As Azure's own tool calls them.
            if let Some(account) = said(&["AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"]) {
                az = az.with_account(account);
            }
            if let Some(key) = said(&["AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY"]) {
                az = az.with_access_key(key);
            }
            let key = AzureConfigKey::Client(ClientConfigKey::Timeout);
            az.with_config(key, timeout("AZURE_TIMEOUT")).build().map(|az| Arc::new(az) as _)
        }
    }
}

impl Cloud {
    /// That of `uri`, with what the environment says of credentials, region and endpoint.
    pub(super) fn of(uri: &str, scheme: &str, bucket: &str) -> Result<Self> {
        let address = format!("{scheme}://{bucket}");
        let built = |max_retries| {
            let retry = RetryConfig { max_retries, retry_timeout: PATIENCE, backoff: BACKOFF };
            built(scheme, &address, retry).map_err(|error| {
                let message = format!("cannot be reached as the environment says: {}", told(&error));
                Error::Unfit { path: uri.into(), message }
            })
        };
        Ok(Self { store: built(usize::MAX)?, once: built(0)?, knows_none: Arc::default(), bucket: address })
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// As [`Place::list`].
    pub(super) fn list(&self, key: &str, place: &Place) -> Result<Vec<Listed>> {
        let (folder, is_pattern) = fixed(key);
        if !is_pattern && !key.is_empty() {
            match wait(self.store.head(&parsed(key, place)?))? {
                Ok(meta) => return Ok(vec![listed(&meta, key.rsplit_once('/').map_or("", |(folder, _)| folder))]),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(failed("read", error, place)),
            }
        }
        let pattern = is_pattern.then(|| glob::Pattern::new(key)).transpose();
        let pattern = pattern.map_err(|error| place.unfit(format!("is no pattern: {error}")))?;
        let found = self.below(folder, place)?.into_iter().filter(|listed| match &pattern {
            Some(pattern) => pattern.matches_with(&listed.path, MATCHING),
            None => !is_hidden(&listed.name),
        });
        // What has no bytes has no rows, and may be the marker of a folder, which is listed by a name that it cannot be read by.
        Ok(found.filter(|listed| listed.size > 0).collect())
    }

    /// All objects in `folder` and below.
    fn below(&self, folder: &str, place: &Place) -> Result<Vec<Listed>> {
        let prefix = (!folder.is_empty()).then(|| parsed(folder, place)).transpose()?;
        let all = wait(self.store.list(prefix.as_ref()).try_collect::<Vec<ObjectMeta>>())?;
        let all = all.map_err(|error| failed("list", error, place))?;
        Ok(all.iter().map(|meta| listed(meta, folder)).collect())
    }

    /// As [`Place::sizes`].
    pub(super) fn sizes(&self, key: &str, place: &Place) -> Result<BTreeMap<String, u64>> {
        let all = self.below(key, place)?.into_iter().filter(|listed| !listed.name.contains('/'));
        Ok(all.map(|listed| (listed.name, listed.size)).collect())
    }

    /// As [`Place::open`].
    pub(super) fn open(&self, listed: &Listed, place: &Place) -> Result<Opened> {
        let key = parsed(&listed.path, place)?;
        let meta = wait(self.store.head(&key))?.map_err(|error| failed("read", error, place))?;
        if meta.size != listed.size || mark(&meta) != listed.mark {
            return Err(place.changed());
        }
        Ok(Opened { store: Arc::clone(&self.store), key, meta, blocks: Mutex::default() })
    }

    /// As [`Place::read`].
    pub(super) fn read(&self, key: &str, place: &Place) -> Result<Option<Vec<u8>>> {
        let key = parsed(key, place)?;
        match wait(async { self.store.get(&key).await?.bytes().await })? {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", error, place)),
        }
    }

    /// As [`Place::put_new`].
    pub(super) fn put_new(&self, key: &str, content: &File, place: &Place) -> Result<bool> {
        let key = parsed(key, place)?;
        let unread = Error::run_file("read", &std::env::temp_dir());
        let size = content.metadata().map_err(Error::run_file("read", &std::env::temp_dir()))?.len();
        if size <= AT_ONCE
            && let Some(is_new) = self.put_if_absent(&key, &piece(content, size, true).map_err(unread)?, place)?
        {
            return Ok(is_new);
        }
        // There is no condition for what is sent in pieces. It is seen when all of it is there, and who is between this look
        // and that writes the same: names stand for content.
        match wait(self.store.head(&key))? {
            Ok(_) => return Ok(false),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(failed("write", error, place)),
        }
        wait(self.put_in_pieces(&key, content, size))?.map_err(|error| failed("write", error, place))?;
        Ok(true)
    }

    /// Puts an object at once. Gives whether it is new; none where the server knows no condition.
    fn put_if_absent(&self, key: &Key, bytes: &Bytes, place: &Place) -> Result<Option<bool>> {
        let until = Instant::now() + PATIENCE;
        while !self.knows_none.load(Ordering::Relaxed) {
            let error = match wait(self.once.put_opts(key, bytes.clone().into(), PutMode::Create.into()))? {
                Ok(_) => return Ok(Some(true)),
                // It is there, perhaps by a request of ours that broke off; or another is being put, of who may be killed.
                Err(error @ (StoreError::AlreadyExists { .. } | StoreError::Precondition { .. })) => {
                    match wait(self.store.head(key))? {
                        Ok(_) => return Ok(Some(false)),
                        Err(StoreError::NotFound { .. }) => error,
                        Err(error) => return Err(failed("write", error, place)),
                    }
                }
                Err(StoreError::NotImplemented { .. } | StoreError::NotSupported { .. }) => break,
                Err(error) => match status(&error) {
                    Some(501) => break,
                    // Without a status it broke off, and may or may not be there.
                    None | Some(429 | 500..) => error,
                    Some(_) => return Err(failed("write", error, place)),
                },
            };
            if Instant::now() > until {
                return Err(failed("write", error, place));
            }
            std::thread::sleep(PAUSE);
        }
        self.knows_none.store(true, Ordering::Relaxed);
        Ok(None)
    }

    async fn put_in_pieces(&self, key: &Key, content: &File, size: u64) -> object_store::Result<()> {
        let unread = |source: std::io::Error| StoreError::Generic { store: "spool", source: Box::new(source) };
        let mut upload = self.store.put_multipart(key).await?;
        for from in (0..size.max(1)).step_by(usize::try_from(PIECE).unwrap_or(usize::MAX)) {
            let bytes = piece(content, PIECE, from == 0).map_err(unread)?;
            if let Err(error) = upload.put_part(PutPayload::from(bytes)).await {
                let _ = upload.abort().await;
                return Err(error);
            }
        }
        upload.complete().await.map(drop)
    }
}

/// The next bytes of a spool; the first, where it `begins`.
fn piece(mut spool: &File, most: u64, begins: bool) -> std::io::Result<Bytes> {
    if begins {
        spool.rewind()?;
    }
    let mut bytes = Vec::new();
    spool.take(most).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

/// An object that is read as it was listed.
pub(super) struct Opened {
    store: Arc<dyn ObjectStore>,
    key: Key,
    meta: ObjectMeta,
    /// By number, the latest last.
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Opened {
    pub(super) fn unchanged(&self, place: &Place) -> Result<()> {
        let now = wait(self.store.head(&self.key))?.map_err(|error| failed("read", error, place))?;
        if self.is_same(&now) { Ok(()) } else { Err(place.changed()) }
    }

    fn is_same(&self, other: &ObjectMeta) -> bool {
        other.size == self.meta.size && mark(other) == mark(&self.meta)
    }

    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8], place: &Place) -> Result<usize> {
        if offset >= self.meta.size {
            return Ok(0);
        }
        let number = offset / BLOCK;
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let block = match blocks.iter().find(|(held, _)| *held == number) {
            Some((_, block)) => block.clone(),
            None => {
                let block = self.block(number, place)?;
                if blocks.len() == BLOCKS {
                    blocks.pop_front();
                }
                blocks.push_back((number, block.clone()));
                block
            }
        };
        let mut rest = block.get(usize::try_from(offset % BLOCK).unwrap_or(0)..).unwrap_or_default();
        rest.read(buffer).map_err(|source| Error::Input { what: "texts", path: place.as_path(), source })
    }

    fn block(&self, number: u64, place: &Place) -> Result<Bytes> {
        let range = number * BLOCK..((number + 1) * BLOCK).min(self.meta.size);
        let wanted = range.end - range.start;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.meta.e_tag.clone(),
            ..GetOptions::default()
        };
        let get = async {
            let got = self.store.get_opts(&self.key, options).await?;
            let meta = got.meta.clone();
            Ok((meta, got.bytes().await?))
        };
        let (meta, bytes) = wait(get)?.map_err(|error| failed("read", error, place))?;
        // A store that knows no condition says at least what it gave, and how much.
        if self.is_same(&meta) && bytes.len() as u64 == wanted { Ok(bytes) } else { Err(place.changed()) }
    }
}

/// As everywhere: what is hidden is not meant by `*`, nor is what is in a folder.
const MATCHING: glob::MatchOptions =
    glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Whether the prefix or pattern `key` takes an object `other` in.
pub(super) fn would_list(key: &str, other: &str) -> bool {
    match (fixed(key), glob::Pattern::new(key)) {
        ((_, true), Ok(pattern)) => pattern.matches_with(other, MATCHING),
        _ => std::path::Path::new(other).starts_with(key),
    }
}

/// What tells one content from another. The same in a list and from the object itself, where some stores quote it.
fn mark(meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.as_deref().map(|tag| tag.trim_matches('"').to_owned());
    tag.unwrap_or_else(|| meta.last_modified.timestamp_millis().to_string())
}

fn listed(meta: &ObjectMeta, folder: &str) -> Listed {
    let path = meta.location.as_ref().to_owned();
    let name = path.strip_prefix(folder).unwrap_or(&path).trim_start_matches('/').to_owned();
    Listed { name, size: meta.size, mark: mark(meta), path }
}

fn parsed(key: &str, place: &Place) -> Result<Key> {
    Key::parse(key).map_err(|error| place.unfit(format!("is no name of an object: {error}")))
}

/// Waits for a request.
fn wait<T>(request: impl Future<Output = T>) -> Result<T> {
    Ok(runtime()?.block_on(request))
}

/// What a store answered, in words that say what to do.
fn failed(action: &'static str, error: StoreError, place: &Place) -> Error {
    let said = with_causes(&error);
    let has_code = |codes: &[&str]| codes.iter().any(|code| said.contains(&format!("<Code>{code}</Code>")));
    let (status, message) = (status(&error), told(&error));
    match error {
        _ if has_code(&["NoSuchBucket", "ContainerNotFound", "ResourceNotFound"]) => {
            place.unfit("is in a bucket that is not there: check its name")
        }
        _ if has_code(&["ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"]) => {
            refused(action, &message, place)
        }
        StoreError::NotFound { .. } if action == "write" => {
            Error::Object { action, object: place.shown().to_owned(), message }
        }
        StoreError::NotFound { .. } => place.unfit("is not there: check the name, and that the bucket is there"),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => refused(action, &message, place),
        // Of a list all is generic.
        StoreError::Generic { .. } if matches!(status, Some(401 | 403)) => refused(action, &message, place),
        StoreError::Precondition { .. } | StoreError::NotModified { .. } if action == "read" => place.changed(),
        _ if said.contains("redirect without LOCATION") => place.unfit("is in another region: set AWS_REGION to it"),
        _ if said.contains("scheme is not allowed") => place.unfit(
            "is at an address without TLS: AWS_ALLOW_HTTP=true (AZURE_ALLOW_HTTP, GOOGLE_ALLOW_HTTP) allows that",
        ),
        _ if said.contains("empty path segment") => place
            .unfit("has objects with // in their names, which cannot be read: give them other names, or name others"),
        _ if ["latest/api/token", "computeMetadata", "metadata/identity"].iter().any(|by| said.contains(by)) => {
            let message = format!(
                "there are no credentials: the environment has none ({NAMES}), and this machine's cloud gave none. {message}"
            );
            Error::Object { action, object: place.shown().to_owned(), message }
        }
        _ => Error::Object { action, object: place.shown().to_owned(), message },
    }
}

/// How credentials are called in the environment.
const NAMES: &str = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_SERVICE_ACCOUNT, or AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY; \
                     profiles in files of other tools are not read";

fn refused(action: &str, message: &str, place: &Place) -> Error {
    place.unfit(format!(
        "is refused (cannot {action}): check the credentials in the environment, and what they permit. {message}"
    ))
}

/// The status that a request was answered with at last, which object_store tells of what it calls generic in words alone.
fn status(error: &StoreError) -> Option<u16> {
    let said = with_causes(error);
    said.split_once("status code: ")?.1.get(..3)?.parse().ok()
}

/// An error in words, without what may be secret: of a body its code and message alone, for servers repeat tokens in them.
fn told(error: &StoreError) -> String {
    let said = with_causes(error);
    let Some(body) = ["<?xml", "<Error"].iter().filter_map(|begin| said.find(begin)).min() else {
        return without_queries(&said);
    };
    let (before, body) = said.split_at(body);
    let of = |tag: &str| {
        let (_, rest) = body.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(text, _)| text.trim())
    };
    let words = [Some(before.trim_end()), of("Code"), of("Message")].into_iter().flatten();
    without_queries(&words.collect::<Vec<_>>().join(" "))
}

/// `message` without what follows a question mark in addresses: a signature may be there.
fn without_queries(message: &str) -> String {
    let parts = message.split_inclusive(char::is_whitespace).map(|word| match word.split_once('?') {
        Some((address, query)) if address.contains('/') => {
            format!("{address}?..{}", if query.ends_with(char::is_whitespace) { " " } else { "" })
        }
        _ => word.to_owned(),
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_body_nothing_secret_is_told() {
        let body = "Server returned non-2xx status code: 400 Bad Request: <?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code>\
                    <Message>The provided token has expired.</Message><Token-0>SECRET</Token-0></Error>";
        let error = StoreError::Generic { store: "S3", source: body.into() };
        let place = Place::of("s3://b/c");
        let failed = failed("read", error, &place.unwrap()).to_string();
        assert!(failed.contains("check the credentials") && failed.contains("token has expired"), "{failed}");
        assert!(!failed.contains("SECRET"), "{failed}");
    }

    #[test]
    fn signatures_are_in_no_message() {
        let message = "Error performing GET http://a.b/c?sv=1&sig=SECRET after 3 retries: why? http://a/b?x=SECRET";
        let told = without_queries(message);
        assert_eq!(told, "Error performing GET http://a.b/c?.. after 3 retries: why? http://a/b?..");
    }

    #[test]
    fn a_mark_is_the_same_quoted_or_not() {
        let meta = |tag: Option<&str>| ObjectMeta {
            location: Key::from("a/b"),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: 1,
            e_tag: tag.map(str::to_owned),
            version: None,
        };
        assert_eq!(mark(&meta(Some("\"x\""))), mark(&meta(Some("x"))));
        assert_eq!(mark(&meta(None)), "0");
        assert_eq!(listed(&meta(None), "a").name, "b");
    }

    #[test]
    fn an_output_within_the_input_is_seen() {
        let would = ["a", "a/b", "", "a/*", "a/**/*.jsonl", "b"].map(|key| would_list(key, "a/b/c.jsonl"));
        assert_eq!(would, [true, true, true, false, true, false]);
    }
}
