//! Traces of what the worker does, a batch each: OTLP over HTTP to a collector on this machine.
//!
//! Nothing leaves this machine from here: how traces go on, with which keys and to whom, is the collector's business.
//! Spans name stages, partitions and counts, never a vehicle.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;
use url::{Host, Url};

use crate::cli::Failure;

/// Longest time for one delivery.
const DELIVERY_MAX: Duration = Duration::from_secs(5);

/// Most bytes of a collector's answer that are read.
const ANSWER_BYTES_MAX: u64 = 64 * 1_024;

/// Where traces go.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TraceArgs {
    /// OpenTelemetry collector on this machine that takes traces: http://127.0.0.1:4318.
    #[arg(long, value_name = "URL", value_parser = collector)]
    traces: Option<Url>,
    /// Share of the batches that are traced, 0 to 1.
    #[arg(long, requires = "traces", default_value_t = 0.01, value_parser = share)]
    trace_share: f64,
}

/// Reads the address of a collector.
fn collector(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    };
    if url.scheme() != "http" || !is_here {
        return Err("expected http:// and an address of this machine; a collector here sends on".to_owned());
    }
    Ok(url)
}

/// Reads a share.
fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or("expected 0 to 1".to_owned())
}

/// Traces while the program runs; what is left is delivered when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    provider: Option<SdkTracerProvider>,
}

impl Traces {
    /// Begins; without a collector nothing is traced.
    ///
    /// # Errors
    /// The exporter refuses the settings of the environment.
    pub(crate) fn begin(args: &TraceArgs) -> Result<Self, Failure> {
        let Some(url) = &args.traces else { return Ok(Self::default()) };
        let endpoint = if url.path().len() > 1 {
            url.to_string()
        } else {
            format!("{}/v1/traces", url.as_str().trim_end_matches('/'))
        };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new())
            .with_endpoint(endpoint)
            .build()
            .map_err(Failure::failed)?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(args.trace_share))))
            .with_resource(Resource::builder().with_service_name("outrider").build())
            .build();
        Ok(Self { provider: Some(provider) })
    }

    /// Returns what hears of spans.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer = self.provider.as_ref()?.tracer("outrider");
        let layer =
            tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        // Log lines stay out of traces.
        Some(layer.with_filter(filter_fn(|about| about.is_span() && about.target().starts_with("outrider"))))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not delivered");
        }
    }
}

/// Delivers to the collector; called by a thread of the exporter, which may wait.
#[derive(Debug)]
struct Collector {
    agent: ureq::Agent,
    is_away: AtomicBool,
}

impl Collector {
    fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(DELIVERY_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build();
        Self { agent: config.into(), is_away: AtomicBool::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(head, body.to_vec()))?;
        let (head, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, Bytes::from(bytes)))
    }
}

#[async_trait::async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.send(request);
        let problem = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(answer.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        // Said once, not every five seconds.
        let was_away = self.is_away.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_away => {
                tracing::warn!(problem, "traces are lost: the collector does not take them");
            }
            None if was_away => tracing::info!("the collector takes traces again"),
            Some(_) | None => {}
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Receiver, channel};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Answers each request and hands out its head and body.
    fn stand_in(status: &'static str) -> (Url, Receiver<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(request) = read(stream.expect("a connection"), status) else { continue };
                if sender.send(request).is_err() {
                    break;
                }
            }
        });
        (collector(&url).expect("here"), receiver)
    }

    fn read(stream: TcpStream, status: &str) -> Option<(String, Vec<u8>)> {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length?];
        reader.read_exact(&mut body).ok()?;
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
        Some((head, body))
    }

    fn work() {
        let batch = tracing::debug_span!("batch", rows = 3);
        batch.in_scope(|| {
            tracing::debug_span!("decode").in_scope(|| tracing::info!("a line of the log"));
        });
        tracing::debug_span!(target: "sqlx", "of_a_library").in_scope(|| {});
    }

    fn traced(url: &Url, share: f64) {
        let traces =
            Traces::begin(&TraceArgs { traces: Some(url.clone()), trace_share: share }).expect("begins");
        tracing::subscriber::with_default(tracing_subscriber::registry().with(traces.layer()), work);
    }

    fn holds(body: &[u8], text: &str) -> bool {
        body.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn a_batch_and_its_stages_reach_the_collector_and_nothing_else_does() {
        let (url, requests) = stand_in("200 OK");
        traced(&url, 1.0);
        let (head, body) =
            requests.recv_timeout(Duration::from_secs(30)).expect("it is delivered at the end");
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
        for there in ["batch", "decode", "rows", "service.name", "outrider"] {
            assert!(holds(&body, there), "{there}");
        }
        for absent in ["a line of the log", "of_a_library"] {
            assert!(!holds(&body, absent), "{absent}");
        }
    }

    #[test]
    fn a_share_of_nothing_sends_nothing() {
        let (url, requests) = stand_in("200 OK");
        traced(&url, 0.0);
        assert!(requests.try_recv().is_err(), "everything was delivered when the traces ended");
    }

    #[test]
    fn a_collector_that_refuses_or_is_not_there_stops_nothing() {
        let (url, requests) = stand_in("503 Service Unavailable");
        traced(&url, 1.0);
        assert!(requests.recv_timeout(Duration::from_secs(30)).is_ok());
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        traced(&collector(&format!("http://{closed}")).expect("here"), 1.0);
    }

    #[test]
    fn only_a_collector_on_this_machine_is_taken() {
        for good in ["http://127.0.0.1:4318", "http://localhost:4318/v1/traces", "http://[::1]:1"] {
            assert!(collector(good).is_ok(), "{good}");
        }
        for bad in [
            "https://127.0.0.1",
            "http://198.51.100.1:4318",
            "http://localhost.example",
            "unix:/x",
            "",
            "4318",
        ] {
            assert!(collector(bad).is_err(), "{bad}");
        }
        for (text, value) in
            [("0", Some(0.0)), ("0.5", Some(0.5)), ("1", Some(1.0)), ("1.1", None), ("nan", None)]
        {
            assert_eq!(share(text).ok(), value, "{text}");
        }
    }
}
