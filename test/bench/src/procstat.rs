//! CPU time, memory and context switches of the server processes.

use std::fs;

#[derive(Clone, Copy, Default, Debug)]
pub struct Snap {
    /// user+sys, nanoseconds (process CPU clock, precise)
    pub cpu_ns: u64,
    /// from /proc/PID/stat, clock ticks
    pub utime: u64,
    pub stime: u64,
    pub rss: u64,
    pub hwm: u64,
    pub vcsw: u64,
    pub threads: u64,
    /// Bytes on their way to the disk, from /proc/PID/io.
    pub written: u64,
}

/// Resets the peak-RSS mark (needs ptrace rights on the process; ignored if refused).
pub fn reset_peak(pids: &[i32]) {
    for pid in pids {
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

pub fn cpu_ns(pid: i32) -> u64 {
    // CPU clock of another process: ((~pid) << 3) | CPUCLOCK_SCHED
    let clk: libc::clockid_t = if pid == 0 { libc::CLOCK_PROCESS_CPUTIME_ID } else { ((!pid) << 3) | 2 };
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    if unsafe { libc::clock_gettime(clk, &mut ts) } != 0 {
        return 0;
    }
    ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64
}

/// The sum over all processes.
pub fn snap(pids: &[i32]) -> Snap {
    let mut s = Snap::default();
    for x in pids.iter().map(|p| snap_one(*p)) {
        s.cpu_ns += x.cpu_ns;
        s.utime += x.utime;
        s.stime += x.stime;
        s.rss += x.rss;
        s.hwm += x.hwm;
        s.vcsw += x.vcsw;
        s.threads += x.threads;
        s.written += x.written;
    }
    s
}

fn snap_one(pid: i32) -> Snap {
    let mut s = Snap { cpu_ns: cpu_ns(pid), ..Snap::default() };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    if let Some(p) = stat.rfind(')') {
        let f: Vec<&str> = stat[p + 1..].split_whitespace().collect();
        s.utime = f.get(11).and_then(|x| x.parse().ok()).unwrap_or(0);
        s.stime = f.get(12).and_then(|x| x.parse().ok()).unwrap_or(0);
        s.threads = f.get(17).and_then(|x| x.parse().ok()).unwrap_or(0);
    }
    if s.cpu_ns == 0 {
        s.cpu_ns = (s.utime + s.stime) * 10_000_000;
    }
    if let Ok(t) = fs::read_to_string(format!("/proc/{pid}/status")) {
        for l in t.lines() {
            let kb = |l: &str| l.split_whitespace().nth(1).and_then(|x| x.parse::<u64>().ok()).unwrap_or(0) * 1024;
            if l.starts_with("VmRSS:") {
                s.rss = kb(l);
            } else if l.starts_with("VmHWM:") {
                s.hwm = kb(l);
            }
        }
    }
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    s.written = io.lines().find_map(|l| l.strip_prefix("write_bytes: ")?.trim().parse().ok()).unwrap_or(0);
    if let Ok(d) = fs::read_dir(format!("/proc/{pid}/task")) {
        for e in d.flatten() {
            if let Ok(t) = fs::read_to_string(e.path().join("status")) {
                for l in t.lines() {
                    if let Some(v) = l.strip_prefix("voluntary_ctxt_switches:") {
                        s.vcsw += v.trim().parse::<u64>().unwrap_or(0);
                    }
                }
            }
        }
    }
    s
}
