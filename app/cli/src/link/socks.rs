//! Connecting through a SOCKS5 proxy, and a local door to one for clients that cannot.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Where the proxy is and who we are to it.
struct Proxy {
    address: String,
    login: Option<(String, String)>,
}

fn proxy(url: &str) -> Result<Proxy> {
    let rest = url.strip_prefix("socks5://").or_else(|| url.strip_prefix("socks5h://"));
    let rest = rest.with_context(|| format!("the proxy {url:?} is not a socks5:// url"))?.trim_end_matches('/');
    let (login, address) = match rest.rsplit_once('@') {
        Some((login, address)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (Some((user.to_owned(), password.to_owned())), address)
        }
        None => (None, rest),
    };
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(Proxy { address: if has_port { address.to_owned() } else { format!("{address}:1080") }, login })
}

/// A stream to `host:port` as the proxy sees them: names are resolved over there.
pub(crate) async fn connect(url: &str, host: &str, port: u16) -> Result<TcpStream> {
    let proxy = proxy(url)?;
    let mut stream = TcpStream::connect(&proxy.address)
        .await
        .with_context(|| format!("could not reach the SOCKS5 proxy {}", proxy.address))?;
    greet(&mut stream, &proxy).await?;
    let host_len = u8::try_from(host.len()).context("the server's name is too long for SOCKS5")?;
    let mut request = vec![5, 1, 0, 3, host_len];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    if head[1] != 0 {
        bail!("the SOCKS5 proxy could not connect to {host}:{port}: {}", reason(head[1]));
    }
    let address_len = match head[3] {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        other => bail!("the SOCKS5 proxy answered with address type {other}"),
    };
    let mut bound = vec![0; address_len + 2];
    stream.read_exact(&mut bound).await?;
    Ok(stream)
}

async fn greet(stream: &mut TcpStream, proxy: &Proxy) -> Result<()> {
    stream.write_all(if proxy.login.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] }).await?;
    let mut chosen = [0; 2];
    stream.read_exact(&mut chosen).await?;
    match (chosen[1], &proxy.login) {
        (0, _) => Ok(()),
        (2, Some((user, password))) => log_in(stream, user, password).await,
        _ => bail!("the SOCKS5 proxy wants a login: socks5://user:password@host:port"),
    }
}

async fn log_in(stream: &mut TcpStream, user: &str, password: &str) -> Result<()> {
    let mut request = vec![1];
    for part in [user, password] {
        request.push(u8::try_from(part.len()).context("a SOCKS5 user or password has at most 255 bytes")?);
        request.extend_from_slice(part.as_bytes());
    }
    stream.write_all(&request).await?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).await?;
    if answer[1] != 0 {
        bail!("the SOCKS5 proxy refused the login");
    }
    Ok(())
}

const fn reason(code: u8) -> &'static str {
    match code {
        2 => "not allowed by its rules",
        3 => "the network is unreachable",
        4 => "the host is unreachable",
        5 => "the connection was refused",
        6 => "it took too long",
        _ => "it failed",
    }
}

/// Opens a port on this machine that leads through the proxy, and gives its number. It lives as long as the process.
pub(crate) async fn local_door(url: String, host: String, port: u16) -> Result<u16> {
    proxy(&url)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let own_port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (url, host) = (url.clone(), host.clone());
            tokio::spawn(async move {
                match connect(&url, &host, port).await {
                    Ok(mut far) => drop(copy_bidirectional(&mut near, &mut far).await),
                    Err(error) => crate::show::log!(">>> {error:#}"),
                }
            });
        }
    });
    Ok(own_port)
}
