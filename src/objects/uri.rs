//! What a URI names.

use crate::error::{Error, Result};

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Uri<'a> {
    /// A path of this machine.
    Local(&'a str),
    /// A key in a bucket, or container, of a store; it may be empty.
    Cloud { scheme: &'a str, bucket: &'a str, key: &'a str },
}

/// Takes `uri` apart. What has no scheme is a path.
///
/// # Errors
///
/// [`Error::Unfit`] for a scheme that is not known, and where there is no bucket.
pub(super) fn split(uri: &str) -> Result<Uri<'_>> {
    let unfit = |message: &str| Error::Unfit { path: uri.into(), message: message.to_owned() };
    let Some((scheme, rest)) = uri.split_once("://") else {
        return if uri.is_empty() { Err(unfit("is empty: name a path or a URI")) } else { Ok(Uri::Local(uri)) };
    };
    match scheme {
        "file" if rest.starts_with('/') => Ok(Uri::Local(rest)),
        "file" => Err(unfit("names no path: write file:///folder/name, with three strokes")),
        "s3" | "gs" | "az" => match rest.split_once('/').unwrap_or((rest, "")) {
            ("", _) => Err(unfit("names no bucket: write s3://bucket/name (gs://bucket/name, az://container/name)")),
            (bucket, key) => Ok(Uri::Cloud { scheme, bucket, key: key.trim_matches('/') }),
        },
        _ => Err(unfit("has a scheme that is not known: it can be a path, or file://, s3://, gs:// or az://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_apart() {
        assert_eq!(split("a/b:c*.jsonl").unwrap(), Uri::Local("a/b:c*.jsonl"));
        assert_eq!(split("file:///a/b").unwrap(), Uri::Local("/a/b"));
        assert_eq!(split("s3://b/k/x*").unwrap(), Uri::Cloud { scheme: "s3", bucket: "b", key: "k/x*" });
        assert_eq!(split("az://b").unwrap(), Uri::Cloud { scheme: "az", bucket: "b", key: "" });
        for (uri, says) in [
            ("https://x/y", "https://x/y has a scheme that is not known"),
            ("s3:///x", "names no bucket"),
            ("file://x", "with three strokes"),
            ("", "is empty"),
        ] {
            let error = split(uri).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
