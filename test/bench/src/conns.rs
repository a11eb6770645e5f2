//! Idle connections (memory) and connection rate.

use crate::flow::server_cost;
use crate::net;
use crate::opts::Opts;
use crate::procstat;
use crate::report::{Report, percentiles};
use std::io;
use std::time::{Duration, Instant};

pub fn idle(o: &Opts, r: &mut Report) -> io::Result<bool> {
    net::raise_nofile();
    let n = if o.conns == 0 { 5000 } else { o.conns };
    std::thread::sleep(Duration::from_millis(100));
    let a = procstat::snap(&o.server_pids);
    let t0 = Instant::now();
    let mut v = Vec::with_capacity(n);
    for i in 0..n {
        let mut s = net::connect(o, "idle")?;
        if o.sub_each {
            s.send_all(format!("SUB {}.idle.{i} 1\r\n", o.subject).as_bytes())?;
            net::flush(&mut s)?;
        }
        v.push(s);
    }
    let t = t0.elapsed().as_secs_f64();
    let b0 = procstat::snap(&o.server_pids);
    std::thread::sleep(Duration::from_secs_f64(o.hold));
    let b = procstat::snap(&o.server_pids);
    // every connection is still alive
    let mut alive = 0;
    for s in v.iter_mut() {
        if net::flush(s).is_ok() {
            alive += 1;
        }
    }
    let c = procstat::snap(&o.server_pids);
    r.s("scenario", &o.scenario);
    r.s("label", &o.label);
    r.b("ok", alive == n);
    r.u("conns", n as u64);
    r.f("connect_s", t);
    r.f("rss_before_mb", a.rss as f64 / 1048576.0);
    r.f("rss_after_mb", b.rss as f64 / 1048576.0);
    r.f("rss_bytes_per_conn", b.rss.saturating_sub(a.rss) as f64 / n as f64);
    r.f("rss_active_bytes_per_conn", c.rss.saturating_sub(a.rss) as f64 / n as f64);
    r.f("peak_rss_mb", c.hwm as f64 / 1048576.0);
    r.f("idle_cpu_ms_per_s", (b.cpu_ns - b0.cpu_ns) as f64 / 1e6 / o.hold);
    r.f("connect_cpu_us", (b0.cpu_ns - a.cpu_ns) as f64 / 1e3 / n as f64);
    Ok(alive == n)
}

pub fn rate(o: &Opts, r: &mut Report) -> io::Result<bool> {
    let th = o.pub_threads.max(1);
    procstat::reset_peak(&o.server_pids);
    let a = procstat::snap(&o.server_pids);
    let t0 = Instant::now();
    let end = t0 + Duration::from_secs_f64(o.duration);
    let per = if o.conns > 0 { o.conns / th } else { usize::MAX };
    let mut lat: Vec<u32> = Vec::new();
    let mut errs = Vec::new();
    std::thread::scope(|sc| {
        let h: Vec<_> = (0..th)
            .map(|_| {
                sc.spawn(|| {
                    let mut l = Vec::new();
                    let mut e = None;
                    while l.len() < per && Instant::now() < end {
                        let t = Instant::now();
                        match net::connect(o, "rate") {
                            Ok(s) => {
                                drop(s);
                                l.push(t.elapsed().as_nanos() as u32);
                            }
                            Err(x) => {
                                e = Some(x.to_string());
                                break;
                            }
                        }
                    }
                    (l, e)
                })
            })
            .collect();
        for x in h {
            let (l, e) = x.join().unwrap();
            lat.extend(l);
            errs.extend(e);
        }
    });
    let wall = t0.elapsed().as_secs_f64();
    let b = procstat::snap(&o.server_pids);
    let n = lat.len() as u64;
    r.s("scenario", &o.scenario);
    r.s("label", &o.label);
    r.b("ok", errs.is_empty());
    r.u("conns", n);
    r.f("wall_s", wall);
    r.f("conns_s", n as f64 / wall);
    percentiles(r, &mut lat);
    server_cost(r, o, &a, &b, n, wall);
    if !errs.is_empty() {
        r.s("error", &errs.join("; "));
    }
    Ok(errs.is_empty())
}
