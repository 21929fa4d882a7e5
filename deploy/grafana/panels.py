"""The panels of all dashboards: titles, queries and units. `build.py` makes Grafana dashboards and Prometheus consoles of them.

In a query, $replica and $tier are the reader's choice (regular expressions), and $__rate_interval is the window of a rate.
Gauges that every replica shows for the whole installation (lags, quota, endpoints) are joined by max, others by sum.
"""

from dataclasses import dataclass, field

ON = 'job="unificus", instance=~"$replica"'
RATE = "[$__rate_interval]"


@dataclass
class Panel:
    title: str
    unit: str
    # Each a PromQL expression and the legend of its series.
    queries: list[tuple[str, str]]
    # "lines", "stack", "stat" or "table".
    kind: str = "lines"
    about: str = ""
    # Values from which a stat is shown in yellow and in red.
    limits: tuple[float, float] | None = None
    # Below the limits is bad, instead of above them.
    low_is_bad: bool = False
    may_be_negative: bool = False


@dataclass
class Dashboard:
    name: str
    title: str
    about: str
    rows: list[tuple[str, list[Panel]]] = field(default_factory=list)


def rate(metric, labels="", by=""):
    inside = ON + (", " + labels if labels else "")
    total = f"sum by ({by})" if by else "sum"
    return f"{total} (rate({metric}{{{inside}}}{RATE}))"


def quantile(share, metric, labels="", by=""):
    inside = ON + (", " + labels if labels else "")
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({metric}_bucket{{{inside}}}{RATE})))"


WRITE = 'method=~"POST|PUT|PATCH|DELETE"'
# Requests that wait for events on purpose say nothing about speed.
PROMPT = 'route!~".*/changes.*|/metrics|/livez|/readyz"'

API = Dashboard(
    "unificus-api",
    "Unificus: Quota & API",
    "Requests, writes and the months' calls.",
    [
        ("Now", [
            Panel("Requests per second", "reqps", [(rate("unificus_http_requests_total"), "")], "stat"),
            Panel("Writes that fail", "percentunit", [("max(job:unificus_write_errors:ratio_rate5m)", "")], "stat",
                  "Responses of 500 and above, of all writes of five minutes.", (0.001, 0.01)),
            Panel("Commit of a write, p99", "s", [("max(job:unificus_command_seconds:p99_rate5m)", "")], "stat",
                  "From a command's arrival in its lane to its commit.", (0.1, 0.5)),
            Panel("Accounts at 95 % or more", "short",
                  [('sum(job_tier_band:unificus_quota_accounts:max{tier=~"$tier", band=~"95-100|over"})', "")], "stat",
                  "Of their month's calls.", (1, 10)),
        ]),
        ("Requests", [
            Panel("Requests by status", "reqps", [(rate("unificus_http_requests_total", by="status"), "{{status}}")], "stack"),
            Panel("Writes by status", "reqps",
                  [(rate("unificus_http_requests_total", WRITE, "status"), "{{status}}")], "stack"),
            Panel("Response time, p99 of the five slowest routes", "s",
                  [(f"topk(5, {quantile(0.99, 'unificus_http_request_seconds', PROMPT, 'route')})", "{{route}}")],
                  about="Without the routes that wait for events, and those of operators."),
            Panel("Connections of clients", "short",
                  [(f"sum by (instance) (unificus_http_connections{{{ON}}})", "{{instance}}")]),
        ]),
        ("Writes", [
            Panel("Commit of a write", "s",
                  [(quantile(0.5, "unificus_command_seconds"), "p50"), (quantile(0.99, "unificus_command_seconds"), "p99")]),
            Panel("Commands by outcome", "ops", [(rate("unificus_commands_total", by="outcome"), "{{outcome}}")], "stack",
                  "refused: by a rule or an invalid field. unavailable: 503. broken: a defect of the service."),
        ]),
        ("Quota", [
            Panel("Calls by tier", "reqps",
                  [(rate("unificus_quota_calls_total", 'tier=~"$tier"', "tier"), "{{tier}}")], "stack"),
            Panel("Calls by outcome", "reqps",
                  [(rate("unificus_quota_calls_total", 'tier=~"$tier"', "outcome"), "{{outcome}}")], "stack",
                  "refused: the month or the second is used up."),
            Panel("Accounts by use of their month, in percent", "short",
                  [('sum by (band) (job_tier_band:unificus_quota_accounts:max{tier=~"$tier"})', "{{band}}")], "stack"),
            Panel("Accounts nearest to their limit", "percentunit",
                  [("topk(10, max by (account) (unificus_quota_used) / max by (account) (unificus_quota_limit))",
                    "{{account}}")], "table",
                  "Needs metrics.top_accounts."),
        ]),
        ("Bounds", [
            Panel("Connections that a bound ended", "ops",
                  [(rate("unificus_http_connections_bounded_total", by="bound"), "{{bound}}")],
                  about="docs/security.md explains each bound."),
            Panel("Searches", "short",
                  [(f"sum(unificus_searches_running{{{ON}}})", "running"),
                   (rate("unificus_searches_refused_total"), "refused per second")]),
        ]),
    ],
)

SYNC = Dashboard(
    "unificus-sync",
    "Unificus: Sync & webhooks",
    "Everybody who follows the log: webhooks, streams, NATS.",
    [
        ("Now", [
            Panel("Events that webhooks wait for", "short", [("max(job:unificus_push_lag_events:max)", "")], "stat",
                  "Events that active endpoints have not processed.", (1_000, 10_000)),
            Panel("Endpoints that fail", "short", [('max(job_state:unificus_push_endpoints:max{state="failing"})', "")],
                  "stat", limits=(1, 10)),
            Panel("Parked events", "short", [("max(unificus_push_parked_events)", "")], "stat",
                  "They failed their whole schedule and wait for their endpoint's owner.", (1, 1_000)),
            Panel("Write to webhook, p99", "s", [("max(job:unificus_write_to_webhook_seconds:p99_rate5m)", "")], "stat",
                  "First attempts that succeeded.", (1, 10)),
        ]),
        ("Webhooks", [
            Panel("Attempts by outcome", "ops", [(rate("unificus_push_attempts_total", by="outcome"), "{{outcome}}")], "stack"),
            Panel("Write to webhook", "s",
                  [(quantile(0.5, "unificus_write_to_webhook_seconds"), "p50"),
                   (quantile(0.99, "unificus_write_to_webhook_seconds"), "p99")]),
            Panel("Endpoints by state", "short", [("max by (state) (unificus_push_endpoints)", "{{state}}")], "stack"),
            Panel("Deliveries in flight and running workers", "short",
                  [(f"sum(unificus_push_in_flight{{{ON}}})", "in flight"), (f"sum(unificus_push_runners{{{ON}}})", "workers")]),
            Panel("Events that webhooks wait for", "short", [("max(unificus_push_lag_events)", "events")]),
            Panel("Losses of the attempt log, failed saves of cursors", "ops",
                  [(rate("unificus_push_attempts_unlogged_total"), "unlogged"),
                   (rate("unificus_push_saves_failed_total"), "failed saves")]),
        ]),
        ("Feed and streams", [
            Panel("Streams and long polls", "short",
                  [(f"sum(unificus_feed_streams{{{ON}}})", "streams"), (f"sum(unificus_feed_long_polls{{{ON}}})", "long polls")]),
            Panel("Refused by limit", "ops", [(rate("unificus_feed_refused_total", by="limit"), "{{limit}}")]),
            Panel("Responses in memory", "bytes", [(f"sum by (instance) (unificus_feed_in_flight_bytes{{{ON}}})", "{{instance}}")]),
            Panel("Suspected loops", "ops", [(rate("unificus_loops_suspected_total"), "fields per second")],
                  about="Two origins change one field back and forth; its value is kept."),
        ]),
        ("NATS", [
            Panel("Clients on NATS", "short", [(f"max by (instance) (unificus_nats_clients{{{ON}}})", "{{instance}}")]),
            Panel("Logins by outcome", "ops", [(rate("unificus_nats_logins_total", by="outcome"), "{{outcome}}")]),
            Panel("Commands over NATS by outcome", "ops", [(rate("unificus_nats_commands_total", by="outcome"), "{{outcome}}")]),
            Panel("Events by type", "ops", [(f"topk(8, {rate('unificus_events_appended_total', by='type')})", "{{type}}")]),
        ]),
    ],
)

LOG = Dashboard(
    "unificus-log",
    "Unificus: Event log & relay",
    "How commands become events, and events reach JetStream.",
    [
        ("Now", [
            Panel("Events per second", "ops", [(rate("unificus_events_appended_total"), "")], "stat"),
            Panel("Events not yet in JetStream", "short", [("max(job:unificus_relay_lag_events:max)", "")], "stat",
                  limits=(1_000, 5_000)),
            Panel("Oldest of them", "s", [("max(unificus_relay_lag_seconds)", "")], "stat", limits=(5, 30)),
            Panel("Accounts that are not published", "short", [("sum(unificus_relay_stopped_accounts)", "")], "stat",
                  "Their logs lack published events: unificus log restored.", (1, 1)),
        ]),
        ("Relay", [
            Panel("Events appended and published", "ops",
                  [(rate("unificus_events_appended_total"), "appended"), (rate("unificus_relay_published_total"), "published")]),
            Panel("Events not yet in JetStream", "short", [("max(unificus_relay_lag_events)", "events")]),
            Panel("Write to JetStream", "s",
                  [(quantile(0.5, "unificus_write_to_nats_seconds"), "p50"), (quantile(0.99, "unificus_write_to_nats_seconds"), "p99")]),
            Panel("Repairs of the stream", "ops",
                  [(rate("unificus_relay_fenced_total"), "refused as not the last"),
                   (rate("unificus_relay_foreign_total"), "foreign messages"),
                   (rate("unificus_relay_refills_total", by="reason"), "published again: {{reason}}")]),
        ]),
        ("Lanes", [
            Panel("Commands per lane", "ops",
                  [(rate("unificus_lane_commands_total", by="instance, lane"), "{{instance}} lane {{lane}}")], "stack",
                  "A lane without commands is idle, because its accounts write nothing."),
            Panel("Oldest command without a reply", "s",
                  [(f"max by (instance, lane) (unificus_lane_oldest_command_seconds{{{ON}}})", "{{instance}} lane {{lane}}")]),
            Panel("Commands that wait", "short", [(f"sum by (instance) (unificus_lane_depth{{{ON}}})", "{{instance}}")]),
            Panel("Accounts that another transaction locks", "short",
                  [(f"sum by (instance) (unificus_lane_blocked_accounts{{{ON}}})", "{{instance}}")]),
            Panel("Commands per transaction", "short",
                  [(f"{rate('unificus_batch_commands_sum')} / {rate('unificus_batch_commands_count')}", "mean")]),
            Panel("Transactions at PostgreSQL, p99 of the eight slowest", "s",
                  [(f"topk(8, {quantile(0.99, 'unificus_transaction_seconds', by='name')})", "{{name}}")]),
        ]),
    ],
)

HEALTH = Dashboard(
    "unificus-health",
    "Unificus: Health",
    "Replicas, and what they stand on.",
    [
        ("Now", [
            Panel("Firing alerts", "short",
                  [('count(ALERTS{alertstate="firing", alertname=~"Unificus.*", severity!="info"}) or vector(0)', "")], "stat",
                  "Without those of severity info.", (1, 1)),
            Panel("Replicas", "short", [("max(unificus_replicas)", "")], "stat", "As they count each other.", (2, 1), True),
            Panel("Shards with an owner", "short", [("sum(unificus_shards_owned)", "")], "stat", "Of 64.", (64, 64), True),
            Panel("JetStream", "short", [(f"min(unificus_jetstream_up{{{ON}}})", "")], "stat",
                  "1 while it responds to every replica.", (1, 1), True),
        ]),
        ("Replicas", [
            Panel("Shards by replica", "short", [(f"unificus_shards_owned{{{ON}}}", "{{instance}}")], "stack"),
            Panel("CPU", "percentunit", [(f"rate(process_cpu_seconds_total{{{ON}}}{RATE})", "{{instance}}")],
                  about="1 is one core."),
            Panel("Memory", "bytes", [(f"process_resident_memory_bytes{{{ON}}}", "{{instance}}")]),
            Panel("Open files, of those that are allowed", "percentunit",
                  [(f"process_open_fds{{{ON}}} / process_max_fds{{{ON}}}", "{{instance}}")]),
            Panel("Clock, ahead of the database's", "s", [(f"unificus_clock_ahead_seconds{{{ON}}}", "{{instance}}")],
                  may_be_negative=True),
            Panel("Versions", "short", [("count by (version) (unificus_build_info)", "{{version}}")], "table"),
        ]),
        ("PostgreSQL", [
            Panel("Wait for a connection, p99 by pool", "s",
                  [(quantile(0.99, "unificus_pool_wait_seconds", by="pool"), "{{pool}}")]),
            Panel("Statements without a connection", "ops", [(rate("unificus_pool_refused_total", by="pool"), "{{pool}}")]),
            Panel("Reads that were cancelled", "ops", [(rate("unificus_statements_ended_total", by="reason"), "{{reason}}")]),
            Panel("Steps of workers that failed", "ops",
                  [(f"topk(8, {rate('unificus_worker_steps_failed_total', by='worker')})", "{{worker}}")]),
        ]),
        ("NATS and traces", [
            Panel("Connected to NATS", "short", [(f"unificus_nats_connected{{{ON}}}", "{{instance}}")]),
            Panel("Gateway on", "short", [(f"unificus_nats_gateway_on{{{ON}}}", "{{instance}}")],
                  about="0 everywhere where nats.issuer_seed is not set."),
            Panel("Spans of traces", "ops",
                  [(rate("unificus_trace_spans_sent_total"), "sent"), (rate("unificus_trace_spans_lost_total"), "lost")],
                  about="Needs traces.endpoint."),
        ]),
    ],
)

DASHBOARDS = [API, SYNC, LOG, HEALTH]
