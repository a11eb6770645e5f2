//! What changed about links to other servers, streams and further listeners.

use crate::diff::{Changes, Part, debug, go, map, shown};
use crate::jetstream::{JetStream, Sync};
use crate::leaf_remote::{LeafRemote, same_rules};
use crate::leafnodes::Leafnodes;
use crate::listener::Listen;
use crate::settings::Settings;

/// Cluster, gateway and leaf nodes.
pub(crate) fn links(changes: &mut Changes, old: &Settings, new: &Settings) {
    cluster(changes, old, new);
    gateway(changes, old, new);
    leafnodes(changes, old, new);
}

/// The host, as far as something listens.
fn host(listen: &Listen) -> &str {
    if listen.port.is_some() { &listen.host } else { "" }
}

fn port(listen: &Listen) -> String {
    listen.port.map_or_else(|| "0".to_owned(), |port| port.to_string())
}

fn cluster(changes: &mut Changes, old: &Settings, new: &Settings) {
    let (was, is) = (&old.cluster, &new.cluster);
    changes.fixed(Part::Cluster, "cluster host", host(&was.listen), host(&is.listen));
    changes.fixed(Part::Cluster, "cluster port", port(&was.listen), port(&is.listen));
    // What follows the listener and the routes is one option with many fields.
    let same_otherwise = crate::Cluster { listen: is.listen.clone(), routes: is.routes.clone(), ..was.clone() };
    changes.live_if(same_otherwise != *is, Part::Cluster, "cluster");
    changes.live_if(was.routes != is.routes, Part::Routes, "cluster routes");
}

fn gateway(changes: &mut Changes, old: &Settings, new: &Settings) {
    // Certificates and pins are read again; everything else would need new links.
    let plain = |settings: &Settings| {
        settings.gateway.clone().map(|gateway| {
            let remotes = gateway.remotes.into_iter().map(|remote| crate::RemoteGateway { tls: None, ..remote });
            crate::Gateway { tls: None, remotes: remotes.collect(), ..gateway }
        })
    };
    let (was, is) = (plain(old), plain(new));
    if was != is {
        let name = |gateway: &Option<crate::Gateway>| {
            gateway.as_ref().map(|g| format!("{} {}:{}", g.name, g.listen.host, port(&g.listen))).unwrap_or_default()
        };
        let (before, after) = (name(&was), name(&is));
        let line = format!("config reload not supported for Gateway: old={{{before}}}, new={{{after}}}");
        changes.refuse(Part::Gateway, line);
    } else if old.gateway != new.gateway {
        changes.live(Part::Gateway, "Reloaded: gateway tls");
    }
}

fn leafnodes(changes: &mut Changes, old: &Settings, new: &Settings) {
    let nothing = Leafnodes::default();
    let was = old.leafnodes.as_ref().unwrap_or(&nothing);
    let is = new.leafnodes.as_ref().unwrap_or(&nothing);
    let before = changes.count();
    leaf_fields(changes, was, is);
    if changes.count() > before {
        return;
    }
    changes.live_if(was.authorization.users != is.authorization.users, Part::Leafnodes, "LeafNode users");
    changes.live_if(was.tls != is.tls, Part::Leafnodes, "LeafNode tls");
    if was.compression != is.compression {
        let word = is.compression.word();
        changes.live(Part::Leafnodes, format!("Reloaded: LeafNode Compression value is: {{{word}}}"));
    }
    remotes(changes, was, is);
}

fn leaf_fields(changes: &mut Changes, was: &Leafnodes, is: &Leafnodes) {
    let mut field = |name: &str, before: String, after: String| {
        if before != after {
            let text = format!("config reload not supported for LeafNode: field {name:?}: old={before}, new={after}");
            changes.refuse(Part::Leafnodes, text);
        }
    };
    field("Host", host(&was.listen).to_owned(), host(&is.listen).to_owned());
    field("Port", port(&was.listen), port(&is.listen));
    let (one, other) = (&was.authorization, &is.authorization);
    field("Username", shown(&one.user), shown(&other.user));
    field("Nkey", shown(&one.nkey), shown(&other.nkey));
    field("Account", shown(&one.account), shown(&other.account));
    field("ProxyRequired", debug(&one.proxy_required), debug(&other.proxy_required));
    let seconds = |timeout: Option<std::time::Duration>| timeout.unwrap_or_default().as_secs_f64().to_string();
    field("AuthTimeout", seconds(one.timeout), seconds(other.timeout));
    let advertise = |leafnodes: &Leafnodes| leafnodes.advertise.as_ref().map(ToString::to_string).unwrap_or_default();
    field("Advertise", advertise(was), advertise(is));
    field("NoAdvertise", debug(&was.no_advertise), debug(&is.no_advertise));
    field("ReconnectInterval", go(was.reconnect_interval).to_string(), go(is.reconnect_interval).to_string());
    field("DialTimeout", go(was.dial_timeout).to_string(), go(is.dial_timeout).to_string());
    let version =
        |version: Option<[u64; 3]>| version.map_or_else(String::new, |v| format!("{}.{}.{}", v[0], v[1], v[2]));
    field("MinVersion", version(was.min_version), version(is.min_version));
    field("IsolateLeafnodeInterest", debug(&was.isolate_interest), debug(&is.isolate_interest));
    field("WriteDeadline", debug(&was.write_deadline), debug(&is.write_deadline));
    field("WriteTimeout", debug(&was.write_timeout), debug(&is.write_timeout));
    if one.password != other.password {
        field("Password", "[REDACTED]".to_owned(), "[REDACTED] (changed)".to_owned());
    }
}

fn remotes(changes: &mut Changes, was: &Leafnodes, is: &Leafnodes) {
    for remote in &was.remotes {
        match is.remotes.iter().find(|other| other.is_same_link(remote)) {
            Some(other) => one_remote(changes, remote, other),
            None => changes.live(Part::Leafnodes, format!("Reloaded: LeafNode Remote {} removed", remote.name())),
        }
    }
    for remote in is.remotes.iter().filter(|remote| !was.remotes.iter().any(|other| other.is_same_link(remote))) {
        changes.live(Part::Leafnodes, format!("Reloaded: LeafNode Remote {} added", remote.name()));
    }
}

fn one_remote(changes: &mut Changes, was: &LeafRemote, is: &LeafRemote) {
    let name = is.name();
    let may_change = LeafRemote {
        tls: is.tls.clone(),
        compression: is.compression.clone(),
        disabled: is.disabled,
        place: is.place.clone(),
        deny_imports: same_rules(&was.deny_imports, &is.deny_imports),
        deny_exports: same_rules(&was.deny_exports, &is.deny_exports),
        ..was.clone()
    };
    if may_change != *is {
        changes.refuse(Part::Leafnodes, format!("config reload not supported for LeafNode: remote {name}"));
        return;
    }
    changes.live_if(was.tls != is.tls, Part::Leafnodes, &format!("LeafNode Remote {name} tls"));
    if was.compression != is.compression {
        let word = is.compression.word();
        changes.live(Part::Leafnodes, format!("Reloaded: LeafNode Remote {name} Compression value is: {{{word}}}"));
    }
    if was.disabled != is.disabled {
        let line = format!("Reloaded: LeafNode Remote {name} Disabled value is: {}", is.disabled);
        changes.live(Part::Leafnodes, line);
    }
}

/// Streams.
pub(crate) fn jetstream(changes: &mut Changes, old: &Settings, new: &Settings) {
    let (was, is) = (&old.jetstream, &new.jetstream);
    changes.live_if(was.enabled != is.enabled, Part::JetStream, "JetStream");
    // Switched off or on: everything else begins anew.
    if was.enabled && is.enabled {
        running(changes, was, is);
    }
    let (before, after) = (map(&was.default_domains), map(&is.default_domains));
    changes.fixed(Part::JetStream, "JsAccDefaultDomain", before, after);
}

fn running(changes: &mut Changes, was: &JetStream, is: &JetStream) {
    if was.store_dir != is.store_dir {
        let text = if is.store_dir.is_some() { "storage directory" } else { "storage dir" };
        changes.refuse(Part::JetStream, format!("config reload not supported for jetstream {text}"));
    }
    limit(changes, "max_mem_store", was.max_memory_bytes, is.max_memory_bytes);
    limit(changes, "max_file_store", was.max_store_bytes, is.max_store_bytes);
    changes.live_if(was.limits != is.limits, Part::JetStream, "JetStream limits");
    let compact = |j: &JetStream| (j.meta_compact_entries, j.meta_compact_bytes, j.meta_compact_sync);
    changes.live_if(compact(was) != compact(is), Part::JetStream, "JetStream meta_compact");
    let part = Part::JetStream;
    changes.fixed(part, "NoJetStreamStrict", !was.strict, !is.strict);
    changes.live_if(was.reading != is.reading, part, "JetStream subscribe_permissions");
    changes.fixed(part, "JetStreamDomain", shown(&was.domain), shown(&is.domain));
    changes.fixed(part, "JetStreamExtHint", shown(&was.extension_hint), shown(&is.extension_hint));
    changes.live_if(was.key != is.key, part, "JetStream key");
    changes.live_if(was.previous_key != is.previous_key, part, "JetStream prev_encryption_key");
    changes.live_if(was.cipher != is.cipher, part, "JetStream cipher");
    changes.live_if(was.account_keys != is.account_keys, part, "JetStream account_keys");
    changes.fixed(part, "JetStreamUniqueTag", shown(&was.unique_tag), shown(&is.unique_tag));
    changes.fixed_hidden(part, "JetStreamTpm", &was.tpm, &is.tpm);
    changes.fixed(part, "JetStreamMaxCatchup", was.max_outstanding_catchup_bytes, is.max_outstanding_catchup_bytes);
    changes.fixed(part, "JetStreamRequestQueueLimit", was.request_queue_limit, is.request_queue_limit);
    changes.fixed(part, "JetStreamInfoQueueLimit", was.info_queue_limit, is.info_queue_limit);
    changes.fixed(part, "JetStreamConcurrentIOs", was.max_concurrent_io, is.max_concurrent_io);
    changes.fixed(part, "StreamMaxBufferedMsgs", was.max_buffered_msgs, is.max_buffered_msgs);
    changes.fixed(part, "StreamMaxBufferedSize", was.max_buffered_bytes, is.max_buffered_bytes);
    changes.fixed(part, "SyncInterval", sync(was.sync), sync(is.sync));
}

fn sync(sync: Sync) -> String {
    match sync {
        Sync::Always => "always".to_owned(),
        Sync::Every(interval) => go(interval).to_string(),
    }
}

/// A limit may grow.
fn limit(changes: &mut Changes, name: &str, was: Option<u64>, is: Option<u64>) {
    let refused = match (was, is) {
        (was, is) if was == is => return,
        (Some(was), Some(is)) if is > was => {
            changes.live(Part::JetStream, format!("Reloaded: JetStream {name} = {}", friendly(is)));
            return;
        }
        (Some(_), None) => "jetstream max memory and max store",
        (None, _) => "jetstream dynamic max memory and store",
        (Some(_), Some(_)) => "decreasing jetstream max memory and store",
    };
    changes.refuse(Part::JetStream, format!("config reload not supported for {refused}"));
}

/// `1.00 GB`.
pub fn friendly(bytes: u64) -> String {
    let units = ["KB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = usize::try_from(bytes.ilog2() / 10).unwrap_or(1);
    let unit = units.get(power - 1).copied().unwrap_or("EB");
    format!("{:.2} {unit}", bytes as f64 / f64::powi(1024.0, i32::try_from(power).unwrap_or(1)))
}

/// WebSocket, MQTT and operator mode.
pub(crate) fn listeners(changes: &mut Changes, old: &Settings, new: &Settings) {
    websocket(changes, old, new);
    mqtt(changes, old, new);
    operator(changes, old, new);
}

fn websocket(changes: &mut Changes, old: &Settings, new: &Settings) {
    let plain =
        |settings: &Settings| settings.websocket.clone().map(|websocket| crate::WebSocket { tls: None, ..websocket });
    let (was, is) = (plain(old), plain(new));
    if was != is {
        let name = |websocket: &Option<crate::WebSocket>| {
            websocket.as_ref().map(|ws| format!("{}:{}", ws.listen.host, port(&ws.listen))).unwrap_or_default()
        };
        let (before, after) = (name(&was), name(&is));
        let line = format!("config reload not supported for Websocket: old={{{before}}}, new={{{after}}}");
        changes.refuse(Part::WebSocket, line);
    } else if old.websocket != new.websocket {
        changes.live(Part::WebSocket, "Reloaded: websocket tls");
    }
}

fn mqtt(changes: &mut Changes, old: &Settings, new: &Settings) {
    let (Some(was), Some(is)) = (&old.mqtt, &new.mqtt) else {
        if old.mqtt != new.mqtt {
            let name = |mqtt: &Option<crate::Mqtt>| {
                mqtt.as_ref().map(|mqtt| format!("{}:{}", mqtt.listen.host, port(&mqtt.listen))).unwrap_or_default()
            };
            let (before, after) = (name(&old.mqtt), name(&new.mqtt));
            let line = format!("config reload not supported for MQTT: old={{{before}}}, new={{{after}}}");
            changes.refuse(Part::Mqtt, line);
        }
        return;
    };
    let may_change = crate::Mqtt {
        tls: is.tls.clone(),
        ack_wait: is.ack_wait,
        max_ack_pending: is.max_ack_pending,
        stream_replicas: is.stream_replicas,
        consumer_memory_storage: is.consumer_memory_storage,
        consumer_inactive_threshold: is.consumer_inactive_threshold,
        ..was.clone()
    };
    if may_change != *is {
        let name = |mqtt: &crate::Mqtt| format!("{}:{}", mqtt.listen.host, port(&mqtt.listen));
        let (before, after) = (name(was), name(is));
        let line = format!("config reload not supported for MQTT: old={{{before}}}, new={{{after}}}");
        changes.refuse(Part::Mqtt, line);
    } else if was != is {
        let threshold = is.consumer_inactive_threshold.unwrap_or_default();
        for line in [
            format!("ack_wait = {}", go(is.ack_wait)),
            format!("max_ack_pending = {}", is.max_ack_pending),
            format!("stream_replicas = {}", is.stream_replicas.unwrap_or(0)),
            format!("consumer_memory_storage = {}", is.consumer_memory_storage),
            format!("consumer_inactive_threshold = {}", go(threshold)),
        ] {
            changes.live(Part::Mqtt, format!("Reloaded: MQTT {line}"));
        }
    }
}

fn operator(changes: &mut Changes, old: &Settings, new: &Settings) {
    let (was, is) = (&old.operator, &new.operator);
    let subjects = |operator: &crate::Operator| -> String {
        let subjects: Vec<&str> = operator.operators.iter().map(|operator| operator.subject.as_str()).collect();
        format!("[{}]", subjects.join(" "))
    };
    if was.operators != is.operators {
        changes.refuse(
            Part::Operator,
            format!("config reload not supported for TrustedOperators: old={}, new={}", subjects(was), subjects(is)),
        );
    }
    let keys = |operator: &crate::Operator| format!("[{}]", operator.trusted_keys.join(" "));
    changes.fixed(Part::Operator, "TrustedKeys", keys(was), keys(is));
    if was.resolver.is_some() != is.resolver.is_some() {
        let line = "config reload does not support moving to or from an account resolver";
        changes.refuse(Part::Operator, line);
    }
    if was.default_sentinel != is.default_sentinel {
        let shown = if is.default_sentinel.is_some() { "[REDACTED]" } else { "" };
        changes.live(Part::Operator, format!("Reloaded: default_sentinel = {shown}"));
    }
}
