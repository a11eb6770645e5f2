//! JetStream publish with acknowledgements over the raw protocol.

use crate::flow::server_cost;
use crate::net::{self, Sock};
use crate::opts::Opts;
use crate::procstat;
use crate::proto::{Ev, Reader, check_payload, encode_pub, patch_seq};
use crate::report::{Report, percentiles};
use std::io;
use std::time::{Duration, Instant};

/// One request, one reply, on a connection that carries nothing else.
fn request(s: &mut Sock, subject: &str, body: &str) -> io::Result<String> {
    s.send_all(format!("PUB {subject} _INBOX.ld.api {}\r\n{body}\r\n", body.len()).as_bytes())?;
    let mut rd = Reader::new();
    let mut buf = vec![0u8; 1 << 18];
    let mut out = None;
    while out.is_none() {
        let n = rd.pump(s, &mut buf, |e| {
            if let Ev::Msg(m) = e {
                out = Some(String::from_utf8_lossy(m.payload).to_string());
            }
        });
        if n <= 0 {
            return Err(io::Error::other("no API reply"));
        }
    }
    Ok(out.unwrap())
}

/// `"seq":N` of an ack.
fn ack_seq(p: &[u8]) -> Option<u64> {
    if p.windows(8).any(|w| w == b"\"error\":") {
        return None;
    }
    let i = p.windows(6).position(|w| w == b"\"seq\":")? + 6;
    let mut n = 0u64;
    for &c in p[i..].iter().skip_while(|c| **c == b' ') {
        if !c.is_ascii_digit() {
            break;
        }
        n = n * 10 + (c - b'0') as u64;
    }
    Some(n)
}

/// Connects and makes the stream anew.
fn open(o: &Opts) -> io::Result<Sock> {
    let mut s = net::connect(o, "js-pub")?;
    s.set_read_timeout(Some(Duration::from_secs_f64(o.timeout)))?;
    s.send_all(b"SUB _INBOX.ld.* 1\r\n")?;
    net::flush(&mut s)?;
    let st = &o.stream;
    let _ = request(&mut s, &format!("$JS.API.STREAM.DELETE.{st}"), "")?;
    let cfg = format!(
        "{{\"name\":\"{st}\",\"subjects\":[\"js.{st}.>\"],\"retention\":\"limits\",\"max_consumers\":-1,\"max_msgs\":-1,\"max_bytes\":-1,\"max_age\":0,\"storage\":\"{}\",\"num_replicas\":1,\"discard\":\"old\"}}",
        o.storage
    );
    let rep = request(&mut s, &format!("$JS.API.STREAM.CREATE.{st}"), &cfg)?;
    if rep.contains("\"error\"") {
        return Err(io::Error::other(rep));
    }
    Ok(s)
}

/// A number of an answer.
fn number(answer: &str, name: &str) -> u64 {
    let digits = answer.find(name).map(|p| &answer[p + name.len()..]).unwrap_or_default();
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

/// Publishes `--count` messages over so many subjects, with a window, and waits for all acknowledgements.
fn put(s: &mut Sock, o: &Opts, subjects: u64) -> io::Result<()> {
    let win = o.inflight.max(1) as u64;
    let (mut sent, mut acked) = (0u64, 0u64);
    let mut rd = Reader::new();
    let (mut out, mut buf) = (Vec::new(), vec![0u8; 1 << 20]);
    let mut failed = None;
    while acked < o.count {
        out.clear();
        while sent < o.count && sent - acked < win && out.len() < 65536 {
            let subject = format!("js.{}.{}", o.stream, sent % subjects);
            let at = encode_pub(&mut out, subject.as_bytes(), b"_INBOX.ld.a", o.size, 0, o.headers);
            patch_seq(&mut out, at, sent);
            sent += 1;
        }
        s.send_all(&out)?;
        let n = rd.pump(s, &mut buf, |e| {
            if let Ev::Msg(m) = e {
                acked += 1;
                if ack_seq(m.payload) != Some(acked) {
                    failed.get_or_insert_with(|| String::from_utf8_lossy(m.payload).into_owned());
                }
            }
        });
        if n <= 0 {
            return Err(io::Error::other("no acks"));
        }
        if let Some(answer) = failed {
            return Err(io::Error::other(format!("ack {acked}: {answer}")));
        }
    }
    Ok(())
}

/// Fills a stream, which stays.
pub fn fill(o: &Opts, r: &mut Report) -> io::Result<bool> {
    let mut s = open(o)?;
    let t0 = Instant::now();
    put(&mut s, o, o.total_subs.max(1) as u64)?;
    let info = request(&mut s, &format!("$JS.API.STREAM.INFO.{}", o.stream), "")?;
    let stored = number(&info, "\"messages\":");
    r.s("scenario", &o.scenario);
    r.b("ok", stored == o.count);
    r.u("stored", stored);
    r.f("acks_s", o.count as f64 / t0.elapsed().as_secs_f64());
    Ok(stored == o.count)
}

/// An ordered consumer reads a stream from its beginning.
pub fn consume(o: &Opts, r: &mut Report) -> io::Result<bool> {
    let mut s = open(o)?;
    put(&mut s, o, 1)?;
    let st = &o.stream;
    s.send_all(b"SUB ld.deliver 2\r\n")?;
    net::flush(&mut s)?;
    procstat::reset_peak(&o.server_pids);
    let a = procstat::snap(&o.server_pids);
    let t0 = Instant::now();
    let cfg = format!(
        "{{\"stream_name\":\"{st}\",\"config\":{{\"deliver_subject\":\"ld.deliver\",\"deliver_policy\":\"all\",\"ack_policy\":\"none\",\"max_deliver\":1,\"flow_control\":true,\"idle_heartbeat\":5000000000,\"mem_storage\":true,\"num_replicas\":1,\"inactive_threshold\":30000000000}}}}"
    );
    s.send_all(format!("PUB $JS.API.CONSUMER.CREATE.{st} {}\r\n{cfg}\r\n", cfg.len()).as_bytes())?;
    let (mut rd, mut buf) = (Reader::new(), vec![0u8; 1 << 20]);
    let (mut got, mut bad, mut answers) = (0u64, 0u64, Vec::new());
    while got < o.count {
        let n = rd.pump(&mut s, &mut buf, |e| match e {
            Ev::Msg(m) if m.reply.starts_with(b"$JS.FC.") => {
                answers.extend_from_slice(b"PUB ");
                answers.extend_from_slice(m.reply);
                answers.extend_from_slice(b" 0\r\n\r\n");
            }
            Ev::Msg(m) if m.reply.starts_with(b"$JS.ACK.") => {
                bad += u64::from(check_payload(m.payload, o.size) != Some((0, got)));
                got += 1;
            }
            Ev::Ping => answers.extend_from_slice(b"PONG\r\n"),
            _ => {}
        });
        if n <= 0 {
            return Err(io::Error::other(format!("no messages after {got}")));
        }
        if !answers.is_empty() {
            s.send_all(&answers)?;
            answers.clear();
        }
    }
    let wall = t0.elapsed().as_secs_f64();
    let b = procstat::snap(&o.server_pids);
    let _ = request(&mut s, &format!("$JS.API.STREAM.DELETE.{st}"), "");
    r.s("scenario", &o.scenario);
    r.s("label", &o.label);
    r.b("ok", bad == 0);
    r.u("size", o.size as u64);
    r.f("wall_s", wall);
    r.f("recv_msgs_s", got as f64 / wall);
    server_cost(r, o, &a, &b, got, wall);
    Ok(bad == 0)
}

pub fn publish(o: &Opts, r: &mut Report) -> io::Result<bool> {
    let mut s = open(o)?;
    let st = &o.stream;
    let win = o.inflight.max(1);
    let mut tmpl = Vec::new();
    let off = encode_pub(&mut tmpl, format!("js.{st}.x").as_bytes(), b"_INBOX.ld.a", o.size, 0, o.headers);
    let flen = tmpl.len();
    // at most 64 KiB in one write
    let per = (65536 / flen).clamp(1, win);
    let mut out: Vec<u8> = tmpl.repeat(per);
    let mut sent_at: std::collections::VecDeque<Instant> = Default::default();
    let mut lat: Vec<u32> = Vec::with_capacity(2_000_000);
    let mut rd = Reader::new();
    let mut buf = vec![0u8; 1 << 20];
    let (mut sent, mut acked, mut bad) = (0u64, 0u64, 0u64);
    let mut err: Option<String> = None;
    procstat::reset_peak(&o.server_pids);
    let a = procstat::snap(&o.server_pids);
    let t0 = Instant::now();
    let end = t0 + Duration::from_secs_f64(o.duration);
    let mut stop = false;
    loop {
        let free = win - (sent - acked) as usize;
        if !stop && (Instant::now() >= end || (o.count > 0 && sent >= o.count)) {
            stop = true;
        }
        // wait for a quarter of the window to come free, so that writes are not tiny
        if !stop && (free >= per || free * 4 >= win) {
            let mut n = free.min(per);
            if o.count > 0 {
                n = n.min((o.count - sent) as usize);
            }
            for k in 0..n {
                patch_seq(&mut out, (k * flen) as u32 + off, sent + k as u64);
            }
            let now = Instant::now();
            for _ in 0..n {
                sent_at.push_back(now);
            }
            sent += n as u64;
            s.send_all(&out[..n * flen])?;
            if sent - acked < win as u64 && win > 1 {
                continue;
            }
        }
        if sent == acked {
            if stop {
                break;
            }
            continue;
        }
        let mut ping = false;
        let n = rd.pump(&mut s, &mut buf, |e| match e {
            Ev::Msg(m) => {
                let now = Instant::now();
                acked += 1;
                match ack_seq(m.payload) {
                    Some(q) if q == acked => {}
                    _ => {
                        bad += 1;
                        if err.is_none() {
                            err = Some(format!("ack {acked}: {}", String::from_utf8_lossy(m.payload)));
                        }
                    }
                }
                if let Some(t) = sent_at.pop_front() {
                    lat.push((now - t).as_nanos().min(u32::MAX as u128) as u32);
                }
            }
            Ev::Ping => ping = true,
            Ev::Err(l) => err = Some(String::from_utf8_lossy(l).trim().to_string()),
            _ => {}
        });
        if ping {
            s.send_all(b"PONG\r\n")?;
        }
        if n <= 0 {
            err = Some("no acks".into());
            break;
        }
    }
    let wall = t0.elapsed().as_secs_f64();
    let b = procstat::snap(&o.server_pids);
    let info = request(&mut s, &format!("$JS.API.STREAM.INFO.{st}"), "").unwrap_or_default();
    let stored = number(&info, "\"messages\":");
    let stored_bytes = number(&info, "\"bytes\":");
    let _ = request(&mut s, &format!("$JS.API.STREAM.DELETE.{st}"), "");
    let ok = err.is_none() && bad == 0 && stored == sent;
    r.s("scenario", &o.scenario);
    r.s("label", &o.label);
    r.b("ok", ok);
    r.u("size", o.size as u64);
    r.u("inflight", win as u64);
    r.s("storage", &o.storage);
    r.f("wall_s", wall);
    r.u("published", sent);
    r.u("acked", acked);
    r.u("stored", stored);
    r.f("acks_s", acked as f64 / wall);
    r.f("mb_s", acked as f64 * o.size as f64 / wall / 1e6);
    percentiles(r, &mut lat);
    if stored_bytes > 0 {
        r.f("written_per_byte", b.written.saturating_sub(a.written) as f64 / stored_bytes as f64);
    }
    server_cost(r, o, &a, &b, acked, wall);
    if let Some(e) = err {
        r.s("error", &e);
    }
    Ok(ok)
}
