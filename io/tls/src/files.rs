//! From the files of a block to certificates, keys and revocation lists.

use std::io;
use std::path::Path;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use secret::{Secret, Zeroizing};

use crate::key_file::read_key;
use crate::{BuildError, CertificateFiles, Passphrase};

/// How files are read: the caller's business, so that a test or a prepared reload can stand in for the disk.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The largest file that a block may name. The roots of a system are some hundred KiB.
pub const MAX_FILE: usize = 64 << 20;

pub(crate) fn read(path: &Path, read_file: ReadFile<'_>) -> Result<Vec<u8>, BuildError> {
    let unreadable = |why: String| BuildError::Unreadable { path: path.into(), why };
    let bytes = read_file(path).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() > MAX_FILE { Err(unreadable("the file is too large".into())) } else { Ok(bytes) }
}

/// The certificates of a PEM file, in order. At least one.
pub(crate) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let refusal = |why: String| BuildError::BadCertificate { path: path.into(), why };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| refusal(error.to_string()))?;
    if chain.is_empty() { Err(refusal("no certificate in the file".into())) } else { Ok(chain) }
}

/// Revocation lists, PEM or DER.
pub(crate) fn revocation_lists(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, BuildError> {
    let refusal = |why: String| BuildError::BadCrl { path: path.into(), why };
    let is_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    let lists: Vec<_> = if is_pem {
        CertificateRevocationListDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| refusal(error.to_string()))?
    } else {
        vec![CertificateRevocationListDer::from(bytes.to_vec())]
    };
    if lists.is_empty() { Err(refusal("no revocation list in the file".into())) } else { Ok(lists) }
}

/// The chain and key of one pair.
pub(crate) fn pair(
    files: &CertificateFiles,
    read_file: ReadFile<'_>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BuildError> {
    let chain = certificates(&files.cert_file, &read(&files.cert_file, read_file)?)?;
    let pem = Zeroizing::new(read(&files.key_file, read_file)?);
    let passphrase = files.passphrase.as_ref().map(|source| passphrase(source, read_file)).transpose()?;
    Ok((chain, read_key(&files.key_file, &pem, passphrase.as_ref())?))
}

fn passphrase(source: &Passphrase, read_file: ReadFile<'_>) -> Result<Secret<Vec<u8>>, BuildError> {
    match source {
        Passphrase::Value(value) => Ok(Secret::new(value.expose().as_bytes().to_vec())),
        Passphrase::File(path) => {
            let bytes = Zeroizing::new(read(path, read_file)?);
            let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
            Ok(Secret::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
        }
    }
}
