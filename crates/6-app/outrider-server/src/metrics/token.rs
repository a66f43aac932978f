//! Who may read the counters: the secret of the monitoring system.

use std::path::Path;

use crate::identity::same_secret;
use crate::vehicle::{CaError, write_secret};

/// Name of the file in the folder of secrets.
pub const TOKEN_FILE: &str = "metrics.token";
/// Largest file that is read as a token.
const FILE_BYTES_MAX: usize = 1_024;
/// Least characters of a token that somebody put there.
const TOKEN_CHARS_MIN: usize = 32;

/// Secret that a monitoring system sends as `Authorization: Bearer …`.
pub struct ScrapeToken(String);

impl std::fmt::Debug for ScrapeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScrapeToken(..)")
    }
}

/// Why the token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] CaError),
    /// The file holds something else.
    #[error("{0} holds no token: one line of 32 to 1,024 printable ASCII characters without spaces")]
    Damaged(std::path::PathBuf),
}

impl ScrapeToken {
    /// Opens the token of a folder, drawing one from `random` if there is none: 64 hexadecimal characters, readable by
    /// the owner only.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(folder: &Path, random: &mut dyn FnMut() -> [u8; 32]) -> Result<Self, TokenError> {
        let path = folder.join(TOKEN_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes).ok_or(TokenError::Damaged(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let token = crate::hex(&random());
                write_secret(&path, format!("{token}\n").as_bytes())?;
                Ok(Self(token))
            }
            Err(source) => Err(TokenError::File(CaError::File { path, source })),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= FILE_BYTES_MAX)?.trim_end();
        let is_token = text.len() >= TOKEN_CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(text.to_owned()))
    }

    /// Whether the header `Authorization` carries it; takes a time that does not depend on where they differ.
    #[must_use]
    pub fn admits(&self, authorization: &str) -> bool {
        let Some((scheme, given)) = authorization.split_once(' ') else { return false };
        scheme.eq_ignore_ascii_case("bearer") && same_secret(given.trim(), &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_drawn_once_and_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let first = ScrapeToken::open(folder.path(), &mut || [0xab; 32]).expect("draws");
        let again = ScrapeToken::open(folder.path(), &mut || unreachable!("it is there")).expect("reads");
        assert_eq!(first.0, again.0);
        assert!(first.admits(&format!("Bearer {}", "ab".repeat(32))));
        let mode = std::fs::metadata(folder.path().join(TOKEN_FILE)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(format!("{first:?}"), "ScrapeToken(..)");
    }

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = ScrapeToken("t".repeat(32));
        let right = "t".repeat(32);
        assert!(token.admits(&format!("bearer {right}")));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Basic x",
            &right,
            &format!("Basic {right}"),
            &format!("Bearer {right}t"),
            &format!("Bearer {}", &right[1..]),
        ] {
            assert!(!token.admits(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_damaged_file_is_refused_and_stays() {
        for content in [
            &b""[..],
            b"short",
            &[0xff; 64],
            b"has a space in its middle, which a header cannot carry",
            &[b'x'; 2_000],
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join(TOKEN_FILE), content).expect("writes");
            let error = ScrapeToken::open(folder.path(), &mut || unreachable!("a file is there"))
                .expect_err("refuses");
            assert!(error.to_string().contains("holds no token"), "{error}");
            assert_eq!(std::fs::read(folder.path().join(TOKEN_FILE)).expect("is there"), content);
        }
    }
}
