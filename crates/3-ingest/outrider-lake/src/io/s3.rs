//! Opens a bucket of an S3-compatible store.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::{Host, Url};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest request: 128 MiB at 2 MiB a second.
const REQUEST: Duration = Duration::from_secs(64);
/// Tries of one request after the first.
const RETRIES: usize = 6;
/// Longest time from the first try to the last.
const RETRY_TIME: Duration = Duration::from_secs(90);

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// How an S3-compatible store is reached. It must honour `If-None-Match: *` on PUT, as Amazon's does: two writers of
/// one version of the table are told apart by it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct S3Config {
    /// Address of the service; without it Amazon's, by region. `http://` only on this machine.
    pub endpoint: Option<String>,
    /// Region; `us-east-1` if none is given.
    pub region: Option<String>,
    /// Name and secret of the access key; without them the machine's own role is asked.
    pub key: Option<(String, Secret)>,
    /// Token of a key that is good for some hours.
    pub token: Option<Secret>,
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

/// Returns a store whose root is the bucket of the URL.
///
/// # Errors
/// What is wrong with URL or configuration, in words without a secret.
pub(super) fn bucket(url: &Url, config: &S3Config) -> Result<Arc<dyn ObjectStore>, String> {
    let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or("it names no bucket")?;
    let has_more = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if has_more || url.fragment().is_some() {
        return Err("it may hold a bucket and a path, nothing else".to_owned());
    }
    let mut is_http = false;
    if let Some(endpoint) = &config.endpoint {
        let endpoint = Url::parse(endpoint).map_err(|error| format!("endpoint: {error}"))?;
        is_http = endpoint.scheme() == "http";
        if is_http && !is_this_machine(&endpoint) {
            return Err("endpoint: http:// is for this machine only".to_owned());
        }
        if !is_http && endpoint.scheme() != "https" {
            return Err("endpoint: neither https:// nor http://".to_owned());
        }
    }
    let client =
        ClientOptions::new().with_connect_timeout(CONNECT).with_timeout(REQUEST).with_allow_http(is_http);
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY_TIME };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(config.region.as_deref().unwrap_or("us-east-1"))
        // LOG-3: a version of the table is written by one writer only.
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some((id, secret)) = &config.key {
        builder = builder.with_access_key_id(id).with_secret_access_key(&secret.0);
    }
    if let Some(token) = &config.token {
        builder = builder.with_token(&token.0);
    }
    Ok(Arc::new(builder.build().map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str, endpoint: Option<&str>) -> Result<(), String> {
        let config = S3Config {
            endpoint: endpoint.map(str::to_owned),
            key: Some(("id".to_owned(), Secret::new("hush"))),
            ..S3Config::default()
        };
        assert!(!format!("{config:?}").contains("hush"));
        bucket(&Url::parse(url).expect("a URL"), &config).map(|_| ())
    }

    #[test]
    fn plain_http_is_for_this_machine_only_and_a_url_holds_no_secret() {
        for endpoint in
            ["http://127.0.0.1:5000", "http://localhost:5000/", "http://[::1]:1", "https://s3.example"]
        {
            open("s3://fleet/lake", Some(endpoint)).expect(endpoint);
        }
        for endpoint in ["http://10.0.0.1", "http://s3.example", "ftp://127.0.0.1", "nothing"] {
            open("s3://fleet/lake", Some(endpoint)).expect_err(endpoint);
        }
        for url in ["s3://id:hush@fleet/lake", "s3://fleet/lake?key=hush", "s3:///lake", "s3://fleet/#x"] {
            let error = open(url, None).expect_err(url);
            assert!(!error.contains("hush"), "{error}");
        }
        for location in ["s3://id:hush@fleet/lake", "s3://fleet/lake?key=hush"] {
            let config = super::super::lake::LakeConfig::new(location);
            assert_eq!(config.shown(), "s3://fleet/lake");
        }
        open("s3://fleet", None).expect("Amazon's own address, the machine's own role");
    }
}
