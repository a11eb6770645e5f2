//! Request / reply latency and rate.

use crate::flow::server_cost;
use crate::net::{self, Epoll};
use crate::opts::Opts;
use crate::procstat;
use crate::proto::{Ev, Reader, check_payload, encode_pub};
use crate::report::{Report, percentiles};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::*};
use std::time::{Duration, Instant};

fn parse_slot(subject: &[u8]) -> usize {
    let p = subject.iter().rposition(|&b| b == b'.').unwrap();
    subject[p + 1..].iter().fold(0, |a, &c| a * 10 + (c - b'0') as usize)
}

pub fn scenario(o: &Opts, r: &mut Report) -> io::Result<bool> {
    let (nr, ns, k) = (o.pubs.max(1), o.subs.max(1), o.inflight.max(1));
    let svc = format!("{}.svc", o.subject);
    let mut resp = Vec::new();
    for i in 0..ns {
        let mut s = net::connect_sub(o, "responder", i)?;
        s.send_all(format!("SUB {svc} workers 1\r\n").as_bytes())?;
        net::flush(&mut s)?;
        resp.push(s);
    }
    net::settle(o);
    let mut req = Vec::new();
    for i in 0..nr {
        let mut s = net::connect_nth(o, "requester", i)?;
        s.send_all(format!("SUB _INBOX.ld{i}.* 1\r\n").as_bytes())?;
        net::flush(&mut s)?;
        req.push(s);
    }
    let stop = AtomicBool::new(false);
    let size = o.size;
    let mut lat: Vec<u32> = Vec::with_capacity(4_000_000);
    let (mut done, mut bad) = (0u64, 0u64);
    let mut err: Option<String> = None;
    let mut wall = 0.0;
    procstat::reset_peak(&o.server_pids);
    let a = procstat::snap(&o.server_pids);
    let own = procstat::cpu_ns(0);
    std::thread::scope(|sc| {
        let stop = &stop;
        let mut resp = resp;
        let rh = sc.spawn(move || {
            let mut ep = Epoll::new();
            for (i, s) in resp.iter().enumerate() {
                ep.add(s, i);
                s.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            }
            let mut rd: Vec<Reader> = resp.iter().map(|_| Reader::new()).collect();
            let mut buf = vec![0u8; 1 << 20];
            let mut out: Vec<u8> = Vec::with_capacity(1 << 18);
            let mut ready = vec![0];
            while !stop.load(Relaxed) {
                if resp.len() > 1 {
                    ep.wait(100, &mut ready);
                }
                for &i in &ready {
                    out.clear();
                    let n = rd[i].pump(&mut resp[i], &mut buf, |e| match e {
                        Ev::Msg(m) => {
                            out.extend_from_slice(b"PUB ");
                            out.extend_from_slice(m.reply);
                            out.extend_from_slice(format!(" {}\r\n", m.payload.len()).as_bytes());
                            out.extend_from_slice(m.payload);
                            out.extend_from_slice(b"\r\n");
                        }
                        Ev::Ping => out.extend_from_slice(b"PONG\r\n"),
                        _ => {}
                    });
                    if n == 0 {
                        return;
                    }
                    let _ = resp[i].send_all(&out);
                }
            }
        });

        struct C {
            frames: Vec<Vec<u8>>,
            pay: Vec<u32>,
            sent: Vec<Instant>,
            seq: Vec<u64>,
            rd: Reader,
        }
        let mut cs: Vec<C> = (0..nr)
            .map(|i| {
                let (mut frames, mut pay) = (Vec::new(), Vec::new());
                for s in 0..k {
                    let mut f = Vec::new();
                    pay.push(encode_pub(
                        &mut f,
                        svc.as_bytes(),
                        format!("_INBOX.ld{i}.{s}").as_bytes(),
                        size,
                        s as u32,
                        o.headers,
                    ));
                    frames.push(f);
                }
                C { frames, pay, sent: vec![Instant::now(); k], seq: vec![0; k], rd: Reader::new() }
            })
            .collect();
        let mut ep = Epoll::new();
        for (i, s) in req.iter().enumerate() {
            ep.add(s, i);
            s.set_read_timeout(Some(Duration::from_secs_f64(o.timeout))).unwrap();
        }
        let mut buf = vec![0u8; 1 << 20];
        let t0 = Instant::now();
        let end = t0 + Duration::from_secs_f64(o.duration);
        let mut out: Vec<u8> = Vec::with_capacity(1 << 18);
        for (i, c) in cs.iter_mut().enumerate() {
            out.clear();
            for s in 0..k {
                out.extend_from_slice(&c.frames[s]);
                c.sent[s] = Instant::now();
            }
            req[i].send_all(&out).unwrap();
        }
        let mut outstanding = nr * k;
        let mut ready = vec![0];
        while outstanding > 0 && err.is_none() {
            if nr > 1 {
                ep.wait((o.timeout * 1000.0) as i32, &mut ready);
                if ready.is_empty() {
                    err = Some("timeout".into());
                }
            }
            for &i in &ready {
                let c = &mut cs[i];
                out.clear();
                let C { frames, pay, sent, seq, rd } = c;
                let n = rd.pump(&mut req[i], &mut buf, |e| match e {
                    Ev::Msg(m) => {
                        let now = Instant::now();
                        let s = parse_slot(m.subject);
                        match check_payload(m.payload, size) {
                            Some((p, q)) if p as usize == s && q == seq[s] => {}
                            _ => bad += 1,
                        }
                        lat.push((now - sent[s]).as_nanos().min(u32::MAX as u128) as u32);
                        done += 1;
                        if now < end && (o.count == 0 || done < o.count) {
                            seq[s] += 1;
                            crate::proto::patch_seq(&mut frames[s], pay[s], seq[s]);
                            out.extend_from_slice(&frames[s]);
                            sent[s] = now;
                        } else {
                            outstanding -= 1;
                        }
                    }
                    Ev::Ping => out.extend_from_slice(b"PONG\r\n"),
                    Ev::Err(l) => err = Some(String::from_utf8_lossy(l).trim().to_string()),
                    _ => {}
                });
                if n <= 0 {
                    err = Some(format!("requester {i}: read {n}"));
                    break;
                }
                let _ = req[i].send_all(&out);
            }
        }
        wall = t0.elapsed().as_secs_f64();
        stop.store(true, Relaxed);
        let _ = rh.join();
    });
    let b = procstat::snap(&o.server_pids);
    let own = procstat::cpu_ns(0) - own;
    let ok = err.is_none() && bad == 0;
    r.s("scenario", &o.scenario);
    r.s("label", &o.label);
    r.b("ok", ok);
    r.u("size", size as u64);
    r.u("pubs", nr as u64);
    r.u("subs", ns as u64);
    r.u("inflight", k as u64);
    r.f("wall_s", wall);
    r.u("requests", done);
    r.u("corrupt", bad);
    r.f("req_s", done as f64 / wall);
    percentiles(r, &mut lat);
    server_cost(r, o, &a, &b, done, wall);
    r.f("client_cores", own as f64 / 1e9 / wall);
    if let Some(e) = err {
        r.s("error", &e);
    }
    Ok(ok)
}
