//! Two JetStreams at the ends of a leaf connection, each a domain: whoever names a domain reaches it from either end, and
//! whoever names none reaches its own. With the reference in every position, and the same where both are the reference.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleet::{Client, Make, Server, mixtures_and_the_reference, settle, until, until_linked};

/// A hub and its leaf node, and their stores.
struct Ends {
    hub: Server,
    spoke: Server,
    _stores: [TempDir; 2],
}

const SYSTEM: &str = "SYS { users: [{user: s, password: s}] }";

impl Ends {
    fn start([hub, spoke]: [Make; 2]) -> Self {
        let stores = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let config = |at: usize, domain: &str, leafs: &str| {
            let store = stores[at].path().display();
            format!(
                "server_name: {domain}\naccounts {{ A {{ jetstream: enabled, users: [{{user: a, password: a}}] }}, {SYSTEM} }}\n\
                 system_account: SYS\njetstream {{ store_dir: '{store}', domain: {domain} }}\nleafnodes {{ {leafs} }}"
            )
        };
        let hub = Server::start(hub, &config(0, "hub", "listen: \"127.0.0.1:-1\""));
        let remote = format!("remotes: [{{ url: \"{}\", account: A }}]", hub.leaf_url("a:a"));
        let spoke = Server::start(spoke, &config(1, "edge", &remote));
        let (mut up, mut down) = (hub.log_in("a"), spoke.log_in("a"));
        up.subscribe("up", "1");
        down.subscribe("down", "1");
        until_linked(&mut down, &mut up, "up");
        until_linked(&mut up, &mut down, "down");
        Self { hub, spoke, _stores: stores }
    }
}

/// Whoever asks, and all that is answered.
struct Asker(Client, u32);

impl Asker {
    fn at(server: &Server) -> Self {
        Self(server.log_in("a"), 0)
    }

    fn ask(&mut self, subject: &str, body: &Value) -> Vec<Value> {
        self.1 += 1;
        let inbox = format!("inbox.{}.{}", std::process::id(), self.1);
        self.0.subscribe(&inbox, &self.1.to_string());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.0.ask(subject, &inbox, &body);
        let mut came = vec![self.0.next()];
        // A second answer would come from the other end.
        std::thread::sleep(std::time::Duration::from_millis(150));
        came.extend(self.0.drain());
        self.0.send(&format!("UNSUB {}\r\n", self.1));
        // What answers an earlier question counts no more.
        came.retain(|message| message.subject == inbox);
        let read = |text: &str, headers: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(headers));
        came.iter().map(|message| read(&message.payload, &message.headers)).collect()
    }

    /// The only answer there is.
    fn only(&mut self, subject: &str, body: &Value, what: &str) -> Value {
        let mut answers = self.ask(subject, body);
        assert_eq!(answers.len(), 1, "{what} {subject}: {answers:?}");
        answers.remove(0)
    }

    fn until_answered(&mut self, subject: &str) {
        until(&format!("{subject} is answered"), || {
            self.ask(subject, &Value::Null).first().is_some_and(Value::is_object)
        });
    }
}

#[test]
fn whoever_names_a_domain_reaches_it_and_whoever_names_none_reaches_its_own() {
    for mix in mixtures_and_the_reference() {
        let what = format!("{mix:?}");
        let ends = Ends::start(mix);
        let (mut up, mut down) = (Asker::at(&ends.hub), Asker::at(&ends.spoke));
        up.until_answered("$JS.edge.API.INFO");
        down.until_answered("$JS.hub.API.INFO");
        for (asker, own) in [(&mut up, "hub"), (&mut down, "edge")] {
            for (subject, domain) in [("$JS.API.INFO", own), ("$JS.hub.API.INFO", "hub"), ("$JS.edge.API.INFO", "edge")]
            {
                let answer = asker.only(subject, &Value::Null, &what);
                assert_eq!(answer["domain"], domain, "{what} {own} {subject}: {answer}");
            }
        }
    }
}

#[test]
fn a_stream_of_the_other_domain_is_made_filled_and_read_by_name() {
    for mix in mixtures_and_the_reference() {
        let what = format!("{mix:?}");
        let ends = Ends::start(mix);
        let (mut up, mut down) = (Asker::at(&ends.hub), Asker::at(&ends.spoke));
        up.until_answered("$JS.edge.API.INFO");
        down.until_answered("$JS.hub.API.INFO");
        for (asker, domain, other) in [(&mut down, "hub", "edge"), (&mut up, "edge", "hub")] {
            let (stream, subject) = (format!("TO_{domain}"), format!("to.{domain}"));
            let config = json!({ "name": stream, "subjects": [subject] });
            let made = asker.only(&format!("$JS.{domain}.API.STREAM.CREATE.{stream}"), &config, &what);
            assert_eq!(made["config"]["name"], *stream, "{what}: {made}");
            until(&format!("{subject} is known here"), || {
                asker.ask(&subject, &json!("probe")).first().is_some_and(|ack| ack["seq"].is_u64())
            });
            let ack = asker.only(&subject, &json!("stored"), &what);
            assert_eq!((&ack["stream"], &ack["domain"]), (&json!(stream), &json!(domain)), "{what}: {ack}");
            let names = |asker: &mut Asker, of: &str| {
                asker.only(&format!("$JS.{of}.API.STREAM.NAMES"), &Value::Null, &what)["streams"].clone()
            };
            assert!(names(asker, domain).as_array().unwrap().contains(&json!(stream)), "{what}");
            let elsewhere = names(asker, other);
            assert!(!elsewhere.as_array().is_some_and(|names| names.contains(&json!(stream))), "{what}: {elsewhere}");
            let last = asker.only(
                &format!("$JS.{domain}.API.STREAM.MSG.GET.{stream}"),
                &json!({ "last_by_subj": subject }),
                &what,
            );
            let stored = data_encoding::BASE64.decode(last["message"]["data"].as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(stored, b"\"stored\"", "{what}: {last}");
            read(asker, domain, &stream, &subject, &what);
        }
    }
}

/// What a stream of the other domain sends, asked for and by itself, is seen under the subject by which it is stored, and is
/// acknowledged there.
fn read(asker: &mut Asker, domain: &str, stream: &str, subject: &str, what: &str) {
    let pushed = format!("pushed.{domain}");
    for (consumer, more) in [("PULL", json!({})), ("PUSH", json!({ "deliver_subject": pushed }))] {
        let mut config = json!({ "durable_name": consumer, "ack_policy": "explicit", "max_ack_pending": 1 });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let inbox = if consumer == "PULL" { format!("pulled.{domain}") } else { pushed.clone() };
        let create = format!("$JS.{domain}.API.CONSUMER.DURABLE.CREATE.{stream}.{consumer}");
        let made = asker.only(&create, &json!({ "stream_name": stream, "config": config }), what);
        assert_eq!(made["name"], consumer, "{what}: {made}");
        asker.0.subscribe(&inbox, "900");
        if consumer == "PULL" {
            asker.0.ask(&format!("$JS.{domain}.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"), &inbox, "");
        }
        let message = asker.0.next();
        let whole = format!("{what} {consumer} {message:?}");
        assert_eq!((&*message.subject, &*message.sid), (subject, "900"), "{whole}");
        let reply = message.reply.unwrap();
        assert!(reply.starts_with(&format!("$JS.ACK.{stream}.{consumer}.")) && !reply.contains('@'), "{whole}");
        asker.0.send("UNSUB 900\r\n");
        asker.0.subscribe("acknowledged", "901");
        asker.0.ask(&reply, "acknowledged", "+ACK");
        let acknowledged = |message: &crate::fleet::Message| message.subject == "acknowledged";
        until(&format!("it is acknowledged, {whole}"), || asker.0.drain().iter().any(acknowledged));
        asker.0.send("UNSUB 901\r\n");
        settle(&mut asker.0);
    }
}

#[test]
fn a_bucket_of_one_name_at_both_ends_is_two_buckets() {
    for mix in mixtures_and_the_reference() {
        let what = format!("{mix:?}");
        let ends = Ends::start(mix);
        let (mut up, mut down) = (Asker::at(&ends.hub), Asker::at(&ends.spoke));
        up.until_answered("$JS.edge.API.INFO");
        down.until_answered("$JS.hub.API.INFO");
        let config = json!({ "name": "KV_B", "subjects": ["$KV.B.>"], "max_msgs_per_subject": 1 });
        for asker in [&mut up, &mut down] {
            let made = asker.only("$JS.API.STREAM.CREATE.KV_B", &config, &what);
            assert_eq!(made["config"]["name"], "KV_B", "{what}: {made}");
        }
        settle(&mut up.0);
        // Its own by the plain name, the other one by the name of the domain.
        for (asker, own, other) in [(&mut up, "hub", "edge"), (&mut down, "edge", "hub")] {
            let ack = asker.only("$KV.B.key", &json!("here"), &what);
            assert_eq!(ack["domain"], own, "{what}: {ack}");
            let ack = asker.only(&format!("$JS.{other}.API.$KV.B.key"), &json!("there"), &what);
            assert_eq!((&ack["domain"], &ack["stream"]), (&json!(other), &json!("KV_B")), "{what}: {ack}");
        }
    }
}
