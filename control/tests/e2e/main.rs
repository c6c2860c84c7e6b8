//! End to end: the binary `reveille` as its users run it, with real sockets
//! and real child processes.
//!
//! One file per subject. Every test runs a Reveille of its own on free ports
//! and waits for states that the admin API shows, never for a time to pass.
//! `support/` starts it, talks to it and cleans up; `python/` holds the
//! workloads; `kubernetes/cluster/` is a played cluster around several of them.

mod support;

mod access_log;
mod admin_access;
mod backend_killed;
mod bad_bytes;
mod bodies;
mod client_limits;
mod cold_start;
mod command_line;
mod dapr;
mod dashboards;
mod envoy;
mod events;
mod explain;
mod held_requests;
mod http_scaled_objects;
mod ingest;
mod keda;
mod kubernetes;
mod logs;
mod manifests;
mod metric_triggers;
mod metrics;
mod peers;
mod query;
mod real_clients;
mod reloads;
mod replica_counts;
mod replicas;
mod routes;
mod scaling;
mod shutdown;
mod sources;
mod startup;
mod stop_order;
mod targets_api;
mod tls;
mod top;
mod traces;
mod upgrades;
mod variables;
mod workload_failures;
mod workload_processes;
