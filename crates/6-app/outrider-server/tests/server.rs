//! The server as its users and vehicles see it.

#[path = "server/agent.rs"]
mod agent;
#[path = "server/client.rs"]
mod client;
#[path = "server/enrolment.rs"]
mod enrolment;
#[path = "server/feed.rs"]
mod feed;
#[path = "server/feed_names.rs"]
mod feed_names;
#[path = "server/harness.rs"]
mod harness;
#[path = "server/mosquitto.rs"]
mod mosquitto;
#[path = "server/mqtt.rs"]
mod mqtt;
#[path = "server/mqtt_corpus.rs"]
mod mqtt_corpus;
#[path = "server/mqtt_fields.rs"]
mod mqtt_fields;
#[path = "server/mqtt_property.rs"]
mod mqtt_property;
#[path = "server/mqtt_rules.rs"]
mod mqtt_rules;
#[path = "server/mqtt_suite.rs"]
mod mqtt_suite;
#[path = "server/mqtt_suite_attack.rs"]
mod mqtt_suite_attack;
#[path = "server/mqtt_suite_cases.rs"]
mod mqtt_suite_cases;
#[path = "server/mqtt_suite_rules.rs"]
mod mqtt_suite_rules;
#[path = "server/nodes.rs"]
mod nodes;
#[path = "server/pipeline.rs"]
mod pipeline;
#[path = "server/policy.rs"]
mod policy;
#[path = "server/postgres.rs"]
mod postgres;
#[path = "server/postgres_server.rs"]
mod postgres_server;
#[path = "server/registry.rs"]
mod registry;
#[path = "server/reveal.rs"]
mod reveal;
#[path = "server/roles.rs"]
mod roles;
#[path = "server/session.rs"]
mod session;
#[path = "server/short.rs"]
mod short;
#[path = "server/store.rs"]
mod store;
#[path = "server/stream.rs"]
mod stream;
#[path = "server/update.rs"]
mod update;
#[path = "server/update_agent.rs"]
mod update_agent;
#[path = "server/uplink.rs"]
mod uplink;
