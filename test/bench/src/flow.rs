//! Throughput engine: publishers, subscribers, window, validation.
//! Used by pub, pubsub, fanout, queue and wild.

use crate::net::{self, Epoll, Sock};
use crate::opts::Opts;
use crate::procstat;
use crate::proto::{Ev, Reader, check_payload, encode_pub, patch_seq};
use crate::report::Report;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// A pre-encoded block of publish frames, written in one go.
pub struct Batch {
    buf: Vec<u8>,
    pay: Vec<u32>,
    ends: Vec<u32>,
}

/// Encodes frames for the given subjects into batches of about `limit` bytes.
pub fn batches<'a>(subjects: impl Iterator<Item = &'a [u8]>, o: &Opts, publ: u32, limit: usize) -> Vec<Batch> {
    let mut out = Vec::new();
    let mut b = Batch { buf: Vec::new(), pay: Vec::new(), ends: Vec::new() };
    for s in subjects {
        let off = encode_pub(&mut b.buf, s, b"", o.size, publ, o.headers);
        b.pay.push(off);
        b.ends.push(b.buf.len() as u32);
        if b.buf.len() >= limit {
            out.push(std::mem::replace(&mut b, Batch { buf: Vec::new(), pay: Vec::new(), ends: Vec::new() }));
        }
    }
    if !b.ends.is_empty() {
        out.push(b);
    }
    out
}

pub struct PubConn {
    pub sock: Sock,
    pub ring: Vec<Batch>,
    cur: usize,
    woff: usize,
    wend: usize,
    seq: u64,
    limit: u64,
}

impl PubConn {
    pub fn new(sock: Sock, ring: Vec<Batch>) -> PubConn {
        PubConn { sock, ring, cur: 0, woff: 0, wend: 0, seq: 0, limit: u64::MAX }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Check {
    /// every message of every publisher, in order
    Exact,
    /// a subset, in order
    Monotonic,
}

pub struct SubConn {
    pub sock: Sock,
    rd: Reader,
    next: Vec<u64>,
    got: u64,
}

impl SubConn {
    pub fn new(sock: Sock, pubs: usize) -> SubConn {
        SubConn { sock, rd: Reader::new(), next: vec![0; pubs], got: 0 }
    }
}

#[repr(align(128))]
struct Pad(AtomicU64);

struct Shared {
    delivered: Vec<Pad>,
    published: AtomicU64,
    done: AtomicBool,
    abort: AtomicBool,
    start: Barrier,
}

impl Shared {
    fn delivered(&self) -> u64 {
        self.delivered.iter().map(|p| p.0.load(Relaxed)).sum()
    }
}

fn publisher(
    mut conns: Vec<PubConn>,
    o: &Opts,
    sh: &Shared,
    mult: u64,
    frame: usize,
) -> (Vec<PubConn>, u64, Option<String>) {
    // window in messages not yet delivered (mult deliveries each)
    let win = if mult == 0 { u64::MAX } else { ((o.window_bytes / frame) as u64).max(2) * mult.clamp(1, 8) };
    for c in &conns {
        c.sock.set_nonblocking(true).unwrap();
    }
    sh.start.wait();
    let deadline = Instant::now() + Duration::from_secs_f64(o.duration);
    let mut stop = false;
    let mut total = 0u64;
    let mut live = conns.len();
    let mut fin = vec![false; conns.len()];
    let mut err = None;
    while live > 0 {
        let (mut progress, mut windowed) = (false, false);
        if !stop && (Instant::now() >= deadline || sh.abort.load(Relaxed)) {
            stop = true;
        }
        for (i, c) in conns.iter_mut().enumerate() {
            if fin[i] {
                continue;
            }
            if c.woff == c.wend {
                if stop || c.seq >= c.limit {
                    fin[i] = true;
                    live -= 1;
                    progress = true;
                    continue;
                }
                if win != u64::MAX && sh.published.load(Relaxed) * mult > sh.delivered() + win {
                    windowed = true;
                    continue;
                }
                c.cur = (c.cur + 1) % c.ring.len();
                let b = &mut c.ring[c.cur];
                let n = (b.ends.len() as u64).min(c.limit - c.seq) as usize;
                for k in 0..n {
                    patch_seq(&mut b.buf, b.pay[k], c.seq + k as u64);
                }
                c.seq += n as u64;
                c.woff = 0;
                c.wend = b.ends[n - 1] as usize;
                total += n as u64;
                sh.published.fetch_add(n as u64, Relaxed);
            }
            let r = c.sock.send(&c.ring[c.cur].buf[c.woff..c.wend]);
            if r > 0 {
                c.woff += r as usize;
                progress = true;
            } else if !net::would_block() {
                err = Some(format!("publisher {i}: {}", io::Error::last_os_error()));
                fin[i] = true;
                live -= 1;
                sh.abort.store(true, Relaxed);
            }
        }
        if progress || live == 0 {
            continue;
        }
        if windowed {
            std::thread::sleep(Duration::from_micros(30));
        } else {
            let mut p: Vec<libc::pollfd> = conns
                .iter()
                .zip(&fin)
                .filter(|(_, f)| !**f)
                .map(|(c, _)| libc::pollfd { fd: c.sock.as_raw_fd(), events: libc::POLLOUT, revents: 0 })
                .collect();
            unsafe { libc::poll(p.as_mut_ptr(), p.len() as u64, 100) };
            if sh.abort.load(Relaxed) {
                break;
            }
        }
    }
    (conns, total, err)
}

struct SubRes {
    order: u64,
    corrupt: u64,
    last: Instant,
    err: Option<String>,
    got: Vec<u64>,
}

fn subscriber(mut conns: Vec<SubConn>, slot: usize, o: &Opts, sh: &Shared, mult: u64, chk: Check) -> SubRes {
    let mut ep = Epoll::new();
    for (i, c) in conns.iter().enumerate() {
        ep.add(&c.sock, i);
        // a read may end inside a record or the head of a frame; do not wait for the rest of it
        c.sock.set_nonblocking(o.tls.is_some() || o.websocket.is_some()).unwrap();
    }
    let mut buf = vec![0u8; (1 << 20).max(o.size * 2 + 65536)];
    let mut ready = Vec::new();
    let mut res = SubRes { order: 0, corrupt: 0, last: Instant::now(), err: None, got: Vec::new() };
    let mut total = 0u64;
    let size = o.size;
    sh.start.wait();
    res.last = Instant::now();
    loop {
        ep.wait(20, &mut ready);
        if sh.done.load(Acquire) && sh.delivered() >= sh.published.load(Relaxed) * mult {
            break;
        }
        if ready.is_empty() {
            if sh.abort.load(Relaxed) {
                break;
            }
            if sh.done.load(Relaxed) && res.last.elapsed().as_secs_f64() > o.timeout {
                break;
            }
            continue;
        }
        for &k in &ready {
            let SubConn { sock, rd, next, got } = &mut conns[k];
            let (mut n, mut order, mut corrupt, mut pings) = (0u64, 0u64, 0u64, 0u32);
            let mut e: Option<String> = None;
            let lim = buf.len().min(rd.pending.len() + 262_144 + size);
            let r = rd.pump(sock, &mut buf[..lim], |ev| match ev {
                Ev::Msg(m) => {
                    n += 1;
                    match check_payload(m.payload, size) {
                        Some((p, s)) if (p as usize) < next.len() => {
                            let x = &mut next[p as usize];
                            if (chk == Check::Exact && s != *x) || s < *x {
                                order += 1;
                            }
                            *x = s + 1;
                        }
                        _ => corrupt += 1,
                    }
                }
                Ev::Ping => pings += 1,
                Ev::Err(l) => e = Some(String::from_utf8_lossy(l).trim().to_string()),
                _ => {}
            });
            for _ in 0..pings {
                let _ = sock.send_all(b"PONG\r\n");
            }
            if r == 0 || (r < 0 && !net::would_block()) {
                e.get_or_insert(format!("subscriber {k}: closed"));
            }
            *got += n;
            total += n;
            res.order += order;
            res.corrupt += corrupt;
            sh.delivered[slot].0.store(total, Release);
            if e.is_some() {
                res.err = e;
                sh.abort.store(true, Relaxed);
            }
        }
        res.last = Instant::now();
        if res.err.is_some() {
            break;
        }
    }
    res.got = conns.iter().map(|c| c.got).collect();
    res
}

pub fn run(
    o: &Opts,
    r: &mut Report,
    pubs: Vec<PubConn>,
    subs: Vec<SubConn>,
    mult: u64,
    chk: Check,
) -> io::Result<bool> {
    let frame = pubs[0].ring[0].buf.len() / pubs[0].ring[0].ends.len();
    let (np, ns) = (pubs.len(), subs.len());
    let pt = o.pub_threads.clamp(1, np);
    let st = if ns == 0 { 0 } else { o.sub_threads.clamp(1, ns) };
    let sh = Arc::new(Shared {
        delivered: (0..st.max(1)).map(|_| Pad(AtomicU64::new(0))).collect(),
        published: AtomicU64::new(0),
        done: AtomicBool::new(false),
        abort: AtomicBool::new(false),
        start: Barrier::new(pt + st + 1),
    });
    let mut pg: Vec<Vec<PubConn>> = (0..pt).map(|_| Vec::new()).collect();
    for (i, mut p) in pubs.into_iter().enumerate() {
        if o.count > 0 {
            p.limit = o.count / np as u64 + u64::from((i as u64) < o.count % np as u64);
        }
        pg[i % pt].push(p);
    }
    let mut sg: Vec<Vec<SubConn>> = (0..st).map(|_| Vec::new()).collect();
    for (i, s) in subs.into_iter().enumerate() {
        sg[i % st].push(s);
    }
    let (mut published, mut errs) = (0u64, Vec::new());
    let mut results: Vec<SubRes> = Vec::new();
    procstat::reset_peak(&o.server_pids);
    let (mut t0, mut tp) = (Instant::now(), Duration::ZERO);
    let mut a = procstat::Snap::default();
    let mut own = 0;
    let mut flush_end = Instant::now();
    std::thread::scope(|sc| {
        let hp: Vec<_> = pg
            .into_iter()
            .map(|g| {
                let sh = sh.clone();
                sc.spawn(move || publisher(g, o, &sh, mult, frame))
            })
            .collect();
        let hs: Vec<_> = sg
            .into_iter()
            .enumerate()
            .map(|(i, g)| {
                let sh = sh.clone();
                sc.spawn(move || subscriber(g, i, o, &sh, mult, chk))
            })
            .collect();
        a = procstat::snap(&o.server_pids);
        own = procstat::cpu_ns(0);
        sh.start.wait();
        t0 = Instant::now();
        let mut keep = Vec::new();
        for h in hp {
            let (c, n, e) = h.join().unwrap();
            published += n;
            errs.extend(e);
            keep.extend(c);
        }
        tp = t0.elapsed();
        sh.done.store(true, Release);
        if errs.is_empty() && mult == 0 {
            // no interest: the PONGs say that the server has processed everything
            for c in &mut keep {
                c.sock.set_nonblocking(false).unwrap();
                if let Err(e) = net::flush(&mut c.sock) {
                    errs.push(format!("flush: {e}"));
                }
            }
        }
        flush_end = Instant::now();
        results = hs.into_iter().map(|h| h.join().unwrap()).collect();
    });
    let end = results.iter().map(|x| x.last).max().unwrap_or(flush_end).max(t0);
    let b = procstat::snap(&o.server_pids);
    let own = procstat::cpu_ns(0) - own;
    let wall = (end - t0).as_secs_f64();
    let delivered = sh.delivered();
    let expect = published * mult;
    let order: u64 = results.iter().map(|x| x.order).sum();
    let corrupt: u64 = results.iter().map(|x| x.corrupt).sum();
    errs.extend(results.iter().filter_map(|x| x.err.clone()));
    let ok = errs.is_empty() && order == 0 && corrupt == 0 && delivered == expect;

    r.s("scenario", &o.scenario);
    r.s("label", &o.label);
    r.b("ok", ok);
    r.u("size", o.size as u64);
    r.u("pubs", np as u64);
    r.u("subs", ns as u64);
    r.f("wall_s", wall);
    r.f("pub_wall_s", tp.as_secs_f64());
    r.u("published", published);
    r.u("delivered", delivered);
    r.u("lost", expect.saturating_sub(delivered));
    r.u("order_errors", order);
    r.u("corrupt", corrupt);
    r.f("pub_msgs_s", published as f64 / wall);
    r.f("pub_mb_s", published as f64 * o.size as f64 / wall / 1e6);
    if mult > 0 {
        r.f("recv_msgs_s", delivered as f64 / wall);
        r.f("recv_mb_s", delivered as f64 * o.size as f64 / wall / 1e6);
    }
    let units = if mult > 0 { delivered } else { published };
    server_cost(r, o, &a, &b, units, wall);
    r.f("client_cpu_s_per_m", own as f64 / 1e9 / (units.max(1) as f64 / 1e6));
    r.f("client_cores", own as f64 / 1e9 / wall);
    if o.scenario == "queue" && ns > 1 {
        let g: Vec<u64> = results.iter().flat_map(|x| x.got.iter().copied()).collect();
        r.u("member_min", *g.iter().min().unwrap());
        r.u("member_max", *g.iter().max().unwrap());
    }
    if !errs.is_empty() {
        r.s("error", &errs.join("; "));
    }
    Ok(ok)
}

/// CPU seconds per million units (deliveries, or publishes where nothing is delivered), memory, switches.
pub fn server_cost(r: &mut Report, o: &Opts, a: &procstat::Snap, b: &procstat::Snap, units: u64, wall: f64) {
    if o.server_pids.is_empty() {
        return;
    }
    let cpu = (b.cpu_ns - a.cpu_ns) as f64 / 1e9;
    let m = units.max(1) as f64 / 1e6;
    r.f("srv_cpu_s", cpu);
    r.f("srv_cpu_s_per_m", cpu / m);
    r.f("srv_user_s", (b.utime - a.utime) as f64 / 100.0);
    r.f("srv_sys_s", (b.stime - a.stime) as f64 / 100.0);
    r.f("srv_cores", cpu / wall);
    r.f("srv_vcsw_per_m", b.vcsw.saturating_sub(a.vcsw) as f64 / m);
    r.f("srv_peak_rss_mb", b.hwm as f64 / 1048576.0);
    r.f("srv_rss_mb", b.rss as f64 / 1048576.0);
}

fn subscribe(o: &Opts, number: usize, cmd: &[u8]) -> io::Result<Sock> {
    let mut s = net::connect_sub(o, "sub", number)?;
    s.send_all(cmd)?;
    net::flush(&mut s)?;
    Ok(s)
}

/// pub, pubsub, fanout and queue.
pub fn scenario(o: &Opts, r: &mut Report) -> io::Result<bool> {
    let (np, ns) = (o.pubs.max(1), o.subs.max(1));
    let root = &o.subject;
    let subj = |i: usize| format!("{root}.{i}");
    let mut subs = Vec::new();
    let (mut mult, mut chk) = (1u64, Check::Exact);
    match o.scenario.as_str() {
        "pub" => mult = 0,
        "pubsub" => {
            for i in 0..ns {
                subs.push(SubConn::new(subscribe(o, i, format!("SUB {} 1\r\n", subj(i)).as_bytes())?, np));
            }
        }
        "fanout" => {
            mult = ns as u64;
            for i in 0..ns {
                subs.push(SubConn::new(subscribe(o, i, format!("SUB {} 1\r\n", subj(0)).as_bytes())?, np));
            }
        }
        "queue" => {
            mult = o.groups as u64;
            chk = Check::Monotonic;
            for i in 0..ns {
                let g = i % o.groups;
                subs.push(SubConn::new(subscribe(o, i, format!("SUB {} q{g} 1\r\n", subj(0)).as_bytes())?, np));
            }
        }
        _ => unreachable!(),
    }
    net::settle(o);
    let frame = o.size + 24;
    // large fan-outs get smaller batches, so that a batch stays well inside the window
    let limit = (o.batch_bytes / (mult.max(1) as usize).div_ceil(100)).max(frame);
    let mut pubs = Vec::new();
    for i in 0..np {
        let s = if o.scenario == "pubsub" { subj(i % ns) } else { subj(0) };
        let n = limit.div_ceil(frame).max(1);
        let ring = batches((0..n).map(|_| s.as_bytes()), o, i as u32, limit);
        pubs.push(PubConn::new(net::connect_nth(o, "pub", i)?, ring));
    }
    run(o, r, pubs, subs, mult, chk)
}

/// Wildcards: N subscriptions of four kinds, every publish matches exactly one.
pub fn wild(o: &Opts, r: &mut Report) -> io::Result<bool> {
    let (np, nc, n) = (o.pubs.max(1), o.subs.max(1), o.total_subs);
    let root = &o.subject;
    let a = procstat::snap(&o.server_pids);
    let t0 = Instant::now();
    let mut socks = Vec::new();
    for c in 0..nc {
        let mut s = net::connect_sub(o, "sub", c)?;
        let mut b = Vec::with_capacity(1 << 17);
        for i in (c..n).step_by(nc) {
            let l = match i % 4 {
                0 | 1 => format!("SUB {root}.lit.{}.{i} {}\r\n", i / 1000, i + 1),
                2 => format!("SUB {root}.star.{i}.*.x {}\r\n", i + 1),
                _ => format!("SUB {root}.gt.{i}.> {}\r\n", i + 1),
            };
            b.extend_from_slice(l.as_bytes());
            if b.len() > 1 << 16 {
                s.send_all(&b)?;
                b.clear();
            }
        }
        s.send_all(&b)?;
        net::flush(&mut s)?;
        socks.push(s);
    }
    net::settle(o);
    let load = t0.elapsed().as_secs_f64();
    let b = procstat::snap(&o.server_pids);
    r.u("total_subs", n as u64);
    r.u("hot", o.hot as u64);
    r.f("load_s", load);
    r.f("load_subs_s", n as f64 / load);
    if !o.server_pids.is_empty() {
        r.f("load_cpu_us_per_sub", (b.cpu_ns - a.cpu_ns) as f64 / 1e3 / n as f64);
        r.f("rss_bytes_per_sub", b.rss.saturating_sub(a.rss) as f64 / n as f64);
    }
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut rnd = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    let span = if o.hot > 0 { o.hot.min(n) } else { n };
    let picks = if o.hot > 0 { 20_000 } else { 300_000.min(n * 4) };
    let mut pubs = Vec::new();
    for p in 0..np {
        let mut subjects: Vec<String> = Vec::with_capacity(picks);
        for _ in 0..picks {
            let i = (rnd() % span as u64) as usize;
            // the free tokens of hot subjects are fixed, so that the subjects repeat
            let (f, g) = if o.hot > 0 { (1, 2) } else { (rnd() % 1000, rnd() % 1000) };
            subjects.push(match i % 4 {
                0 | 1 => format!("{root}.lit.{}.{i}", i / 1000),
                2 => format!("{root}.star.{i}.{f}.x"),
                _ => format!("{root}.gt.{i}.{f}.{g}"),
            });
        }
        let ring = batches(subjects.iter().map(|s| s.as_bytes()), o, p as u32, o.batch_bytes);
        pubs.push(PubConn::new(net::connect(o, "pub")?, ring));
    }
    let subs = socks.into_iter().map(|s| SubConn::new(s, np)).collect();
    let chk = if nc == 1 { Check::Exact } else { Check::Monotonic };
    run(o, r, pubs, subs, 1, chk)
}
