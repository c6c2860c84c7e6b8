//! Something made from files, made anew when their content changes.
//!
//! The content is compared, not the times: a Kubernetes volume swaps a
//! symbolic link, others write in place, and both may keep the time. What is
//! broken never replaces what works.

use super::{
    certificate::{CertificateFacts, CertificateRole},
    crypto::provider,
    terms,
};
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use std::{
    fmt,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// No certificate, key or bundle is larger.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// A file and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileError {
    pub(super) path: PathBuf,
    pub(super) message: String,
}

impl FileError {
    pub(super) fn new(path: &Path, message: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// A certificate chain with its key.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// Of the leaf.
    pub(super) facts: CertificateFacts,
}

/// Certificates that are trusted to sign others.
#[derive(Debug)]
pub(super) struct Authorities {
    pub(super) roots: Arc<RootCertStore>,
    /// The same in PEM form.
    pub(super) pem: Arc<str>,
    pub(super) facts: Vec<CertificateFacts>,
}

/// What can be made from the content of files.
pub(super) trait FromFiles: Sized {
    /// `contents` belong to `paths`.
    fn parse(
        paths: &[PathBuf],
        role: CertificateRole,
        contents: &[Vec<u8>],
    ) -> Result<Self, FileError>;
}

/// A `T` and the files that it was made from.
#[derive(Debug)]
pub(super) struct Loaded<T> {
    paths: Vec<PathBuf>,
    role: CertificateRole,
    /// A digest of the files when they were last looked at.
    seen: u64,
    value: T,
    /// Why the files as they are now are not used.
    problem: Option<FileError>,
}

impl<T: FromFiles> Loaded<T> {
    /// Makes it.
    ///
    /// # Errors
    /// The file that is to blame, and why.
    pub(super) fn load(paths: Vec<PathBuf>, role: CertificateRole) -> Result<Self, FileError> {
        let read = read_all(&paths);
        let seen = digest(&read);
        let value = make(&paths, role, read)?;
        Ok(Self {
            paths,
            role,
            seen,
            value,
            problem: None,
        })
    }

    /// Makes it anew if the files have changed; true if it is another now.
    pub(super) fn refresh(&mut self) -> bool {
        let read = read_all(&self.paths);
        let seen = digest(&read);
        if seen == self.seen {
            return false;
        }
        self.seen = seen;
        match make(&self.paths, self.role, read) {
            Ok(value) => {
                self.value = value;
                self.problem = None;
                true
            }
            Err(problem) => {
                self.problem = Some(problem);
                false
            }
        }
    }
}

impl<T> Loaded<T> {
    pub(super) fn value(&self) -> &T {
        &self.value
    }

    pub(super) fn problem(&self) -> Option<&FileError> {
        self.problem.as_ref()
    }

    pub(super) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }
}

fn make<T: FromFiles>(
    paths: &[PathBuf],
    role: CertificateRole,
    read: Vec<io::Result<Vec<u8>>>,
) -> Result<T, FileError> {
    let contents = paths.iter().zip(read);
    let contents = contents.map(|(path, read)| read.map_err(|error| FileError::new(path, error)));
    let contents: Vec<Vec<u8>> = contents.collect::<Result<_, _>>()?;
    T::parse(paths, role, &contents)
}

fn read_all(paths: &[PathBuf]) -> Vec<io::Result<Vec<u8>>> {
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for somebody to write.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    let mut content = Vec::new();
    let count = File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut content)?;
    if count as u64 > MOST_BYTES {
        return Err(io::Error::other("is larger than 4 MiB"));
    }
    Ok(content)
}

fn digest(read: &[io::Result<Vec<u8>>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for read in read {
        match read {
            Ok(content) => content.hash(&mut hasher),
            Err(error) => error.to_string().hash(&mut hasher),
        }
    }
    hasher.finish()
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(content).collect();
    let all = all.map_err(|error| FileError::new(path, format!("is not valid PEM: {error}")))?;
    if all.is_empty() {
        return Err(FileError::new(path, "holds no certificate in PEM form"));
    }
    Ok(all)
}

fn private_key(path: &Path, content: &[u8]) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_slice(content).map_err(|error| {
        let is_encrypted = content.windows(9).any(|part| part == b"ENCRYPTED");
        let message = match error {
            pem::Error::NoItemsFound if is_encrypted => {
                "is encrypted: only a private key without a passphrase can be used".to_owned()
            }
            pem::Error::NoItemsFound => "holds no private key in PEM form".to_owned(),
            error => format!("is not valid PEM: {error}"),
        };
        FileError::new(path, message)
    })
}

impl FromFiles for Identity {
    fn parse(
        paths: &[PathBuf],
        role: CertificateRole,
        contents: &[Vec<u8>],
    ) -> Result<Self, FileError> {
        let ([cert, key], [chain, secret]) = (paths, contents) else {
            unreachable!("an identity is made from a certificate and a key");
        };
        let chain = certificates(cert, chain)?;
        let facts = CertificateFacts::of(&chain[0], role, cert)
            .map_err(|message| FileError::new(cert, message))?;
        let secret = private_key(key, secret)?;
        let pair = CertifiedKey::from_der(chain, secret, provider());
        let pair = pair.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let cert = cert.display();
                FileError::new(key, format!("is not the key of the certificate in {cert}"))
            }
            rustls::Error::InvalidCertificate(_) => FileError::new(cert, error),
            error => FileError::new(key, error),
        })?;
        Ok(Self {
            key: Arc::new(pair),
            facts,
        })
    }
}

impl FromFiles for Authorities {
    fn parse(
        paths: &[PathBuf],
        role: CertificateRole,
        contents: &[Vec<u8>],
    ) -> Result<Self, FileError> {
        let ([path], [content]) = (paths, contents) else {
            unreachable!("authorities are made from one bundle");
        };
        let mut roots = RootCertStore::empty();
        let mut facts: Vec<CertificateFacts> = Vec::new();
        let all = certificates(path, content)?;
        let pem = terms::pem(&all).into();
        for certificate in all {
            let about = CertificateFacts::of(&certificate, role, path)
                .map_err(|message| FileError::new(path, message))?;
            roots.add(certificate).map_err(|error| {
                let subject = &about.subject;
                FileError::new(path, format!("cannot be used ({subject}): {error}"))
            })?;
            // A renewed authority beside its old self: the later one counts.
            match facts
                .iter_mut()
                .find(|known| known.subject == about.subject)
            {
                Some(known) => known.not_after = known.not_after.max(about.not_after),
                None => facts.push(about),
            }
        }
        Ok(Self {
            roots: Arc::new(roots),
            pem,
            facts,
        })
    }
}
