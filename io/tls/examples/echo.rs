//! A server that sends back what it reads, to be tried with other implementations:
//!
//! ```text
//! cargo run -p bulwark-tls --example echo -- server.pem server.key [clients.pem]
//! openssl s_client -connect 127.0.0.1:PORT
//! ```
//!
//! One connection after the other; what was agreed goes to standard output.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use bulwark_tls::{CertificateFiles, Established, Fault, ServerTls, Settings, Step};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(certificate), Some(key)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: echo CERTIFICATE KEY [ROOTS]");
        return;
    };
    let roots = arguments.next();
    let settings = Settings {
        certificates: vec![CertificateFiles::new(certificate, key)],
        verify: roots.is_some(),
        ca_file: roots.map(Into::into),
        ..Settings::default()
    };
    let tls = ServerTls::build(&settings, &|path| std::fs::read(path)).expect("the settings are good");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("listening on {}", listener.local_addr().expect("a bound socket"));
    for stream in listener.incoming().flatten() {
        match serve(stream, &tls) {
            Ok(()) => println!("closed"),
            Err(reason) => println!("{reason}"),
        }
    }
}

fn serve(mut stream: TcpStream, tls: &ServerTls) -> Result<(), String> {
    let mut established = shake(&mut stream, tls)?;
    let session = &established.session;
    let curve = session.curve.map_or("?", |curve| curve.name());
    let peer = established.peer.as_ref().map_or("nobody", |peer| &peer.subject);
    let resumed = if session.resumed { "resumed" } else { "new" };
    println!("{} {} {curve} {resumed} {peer}", session.version.name(), session.suite.name());
    let mut buffer = vec![0; 128 << 10];
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let mut read = 0;
    loop {
        let opened = established.layer.open(&buffer[..read], &mut plain, &mut out);
        established.layer.seal(&plain, &mut out);
        established.layer.finish(&mut out);
        if !matches!(opened, Ok(false)) {
            established.layer.close(&mut out);
        }
        stream.write_all(&out).map_err(|error| error.to_string())?;
        if opened.map_err(|fault| fault.to_string())? {
            return Ok(());
        }
        plain.clear();
        out.clear();
        read = stream.read(&mut buffer).map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("ended without a goodbye".into());
        }
    }
}

fn shake(stream: &mut TcpStream, tls: &ServerTls) -> Result<Established, String> {
    let mut handshake = tls.accept().map_err(|fault| fault.to_string())?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = stream.read(&mut buffer).map_err(|error| error.to_string())?;
        if read == 0 {
            return Err("ended in the handshake".into());
        }
        let mut out = Vec::new();
        let step = handshake.feed(&buffer[..read]).and_then(|()| handshake.step(&mut out));
        stream.write_all(&out).map_err(|error| error.to_string())?;
        match step.map_err(|fault: Fault| fault.to_string())? {
            Step::Wait => {}
            Step::Done(established) => return Ok(established),
        }
    }
}
