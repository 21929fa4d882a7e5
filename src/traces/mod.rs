//! Traces: spans of traced requests, sent by OTLP (OpenTelemetry protocol 1.x, protobuf over HTTP).
//!
//! A request is traced where its `traceparent` (W3C Trace Context) says that it is sampled, and otherwise by chance. Its
//! commands and events carry the trace context of its span, so that the batch, the relay and webhooks add spans to the same
//! trace, on whichever replica. A span is recorded when it ends, into a bounded queue: spans beyond the bound are counted
//! and lost, and nothing ever waits for a collector. Without a configured endpoint nothing is measured, and no identifier
//! is made. Spans hold no personal data: the names and values of attributes are those of the log.

mod context;
mod exporter;
mod otlp;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

pub(crate) use context::TraceContext;
pub(crate) use exporter::Exporter;

use crate::clock::Clock;
use crate::config::Traces;
use crate::metrics::Metrics;

/// The largest number of spans that wait for the collector.
const MAX_QUEUED: usize = 8_192;

/// The number of waiting spans from which they are sent at once.
const SEND_FROM: usize = 512;

/// Records spans. Cloning shares the queue; [`Tracer::off`] records nothing.
#[derive(Clone)]
pub struct Tracer(Option<Arc<Recorder>>);

struct Recorder {
    /// The share of requests without a trace context that are traced.
    ratio: f64,
    clock: Clock,
    metrics: Metrics,
    queue: Mutex<Vec<EndedSpan>>,
    wake: Arc<Notify>,
}

/// The part that a span's work plays (OTLP's `SpanKind`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanKind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttributeValue {
    Text(String),
    Number(i64),
}

/// The attributes of a span, by OpenTelemetry's names where it has one.
pub(crate) type SpanAttributes = Vec<(&'static str, AttributeValue)>;

/// A span that has ended.
#[derive(Debug, Clone)]
struct EndedSpan {
    context: TraceContext,
    parent: Option<[u8; 8]>,
    name: String,
    kind: SpanKind,
    /// In nanoseconds since 1970, by the database's clock.
    start_ns: u64,
    end_ns: u64,
    attributes: SpanAttributes,
    is_error: bool,
}

/// A span that has begun.
pub(crate) struct ActiveSpan {
    recorder: Arc<Recorder>,
    context: TraceContext,
    parent: Option<[u8; 8]>,
    began: Instant,
}

impl Tracer {
    /// Records nothing.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Records spans where a collector is configured.
    #[must_use]
    pub fn new(config: &Traces, clock: &Clock, metrics: &Metrics) -> Self {
        if config.endpoint.is_empty() {
            return Self::off();
        }
        Self(Some(Arc::new(Recorder {
            ratio: config.ratio,
            clock: clock.clone(),
            metrics: metrics.clone(),
            queue: Mutex::default(),
            wake: Arc::default(),
        })))
    }

    /// Begins the span of a request that came with this trace context, if any. `None` where it is not traced.
    pub(crate) fn root(&self, traceparent: Option<&str>, began: Instant) -> Option<ActiveSpan> {
        let recorder = self.0.as_ref()?;
        match traceparent.and_then(TraceContext::parse) {
            Some(parent) => recorder.below(parent, began),
            None if rand::random::<f64>() < recorder.ratio => {
                let context = TraceContext { trace_id: rand::random(), span_id: rand::random(), is_sampled: true };
                Some(ActiveSpan { recorder: Arc::clone(recorder), context, parent: None, began })
            }
            None => None,
        }
    }

    /// Begins a span below this trace context. `None` without one, or where it is not sampled.
    pub(crate) fn child(&self, traceparent: Option<&str>, began: Instant) -> Option<ActiveSpan> {
        self.0.as_ref()?.below(TraceContext::parse(traceparent?)?, began)
    }

    /// Whether any span is recorded: nothing needs to be computed for spans where it is not.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }
}

impl ActiveSpan {
    /// The trace context of this span, for the work that it causes.
    pub(crate) fn context(&self) -> TraceContext {
        self.context
    }

    /// Ends the span now.
    pub(crate) fn end(self, name: String, kind: SpanKind, is_error: bool, attributes: SpanAttributes) {
        let Self { recorder, context, parent, began } = self;
        let end_ns = u64::try_from(recorder.clock.now().unix_timestamp_nanos()).unwrap_or(0);
        let lasted_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let start_ns = end_ns.saturating_sub(lasted_ns);
        recorder.put(EndedSpan { context, parent, name, kind, start_ns, end_ns, attributes, is_error });
    }
}

impl Recorder {
    /// Begins a span below this context, if that is sampled.
    fn below(self: &Arc<Self>, parent: TraceContext, began: Instant) -> Option<ActiveSpan> {
        let context = TraceContext { span_id: rand::random(), ..parent };
        let span = || ActiveSpan { recorder: Arc::clone(self), context, parent: Some(parent.span_id), began };
        parent.is_sampled.then(span)
    }

    fn put(&self, span: EndedSpan) {
        let queued = {
            let mut queue = self.lock();
            if queue.len() >= MAX_QUEUED {
                self.metrics.trace_spans_lost_total.inc();
                return;
            }
            queue.push(span);
            queue.len()
        };
        if queued == SEND_FROM {
            self.wake.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<EndedSpan>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for AttributeValue {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn tracer(ratio: f64) -> (Tracer, Metrics) {
        let metrics = Metrics::new().unwrap();
        let config = Traces { endpoint: "http://127.0.0.1:4318/v1/traces".to_owned(), ratio };
        (Tracer::new(&config, &Clock::system(), &metrics), metrics)
    }

    #[test]
    fn a_sampled_parent_is_followed_whatever_the_ratio() {
        let (tracer, _) = tracer(0.0);
        let span = tracer.root(Some(SAMPLED), clock::instant()).expect("it is sampled");
        let context = span.context();
        let parent = TraceContext::parse(SAMPLED).unwrap();
        assert_eq!((context.trace_id, span.parent), (parent.trace_id, Some(parent.span_id)), "the trace goes on");
        assert_ne!(context.span_id, parent.span_id, "with a span of its own");
        assert!(tracer.root(None, clock::instant()).is_none(), "no trace begins by chance");
    }

    #[test]
    fn a_parent_that_is_not_sampled_and_a_tracer_that_is_off_record_nothing() {
        let (tracer, _) = tracer(1.0);
        assert!(tracer.root(Some(UNSAMPLED), clock::instant()).is_none());
        assert!(tracer.child(Some(UNSAMPLED), clock::instant()).is_none());
        assert!(tracer.child(None, clock::instant()).is_none());
        assert!(tracer.root(None, clock::instant()).is_some_and(|span| span.parent.is_none()));
        assert!(Tracer::off().root(Some(SAMPLED), clock::instant()).is_none());
        let unset = Traces { endpoint: String::new(), ratio: 1.0 };
        assert!(!Tracer::new(&unset, &Clock::system(), &Metrics::new().unwrap()).is_on());
    }

    #[test]
    fn spans_beyond_the_bound_are_counted_and_lost() {
        let (tracer, metrics) = tracer(1.0);
        for _ in 0..MAX_QUEUED + 3 {
            let span = tracer.root(None, clock::instant()).unwrap();
            span.end("work".to_owned(), SpanKind::Internal, false, Vec::new());
        }
        assert_eq!(metrics.trace_spans_lost_total.get(), 3);
        assert_eq!(tracer.0.unwrap().lock().len(), MAX_QUEUED);
    }
}
