//! Passwords: rules, hashing, generating.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use super::IdentityError;

/// Characters a password has at least.
const LENGTH_MIN: usize = 12;
/// Bytes a password has at most, so that hashing has a bound.
const LENGTH_MAX: usize = 256;
/// Hash that no password has, with the cost of a real one; verified for users that do not exist.
pub(super) const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$b3V0cmlkZXItZHVtbXkh$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Checks a new password against the rules.
pub(super) fn check(password: &str, user: &str) -> Result<(), IdentityError> {
    if password.chars().count() < LENGTH_MIN {
        return Err(IdentityError::Password("a password has at least 12 characters"));
    }
    if password.len() > LENGTH_MAX {
        return Err(IdentityError::Password("a password has at most 256 bytes"));
    }
    if password.to_lowercase().contains(&user.to_lowercase()) {
        return Err(IdentityError::Password("a password does not contain the user name"));
    }
    let first = password.chars().next();
    if password.chars().all(|character| Some(character) == first) {
        return Err(IdentityError::Password("a password is more than one character repeated"));
    }
    Ok(())
}

/// Hashes a password with Argon2id (19 MiB, two passes: the first choice of the OWASP cheat sheet for one lane).
pub(super) fn hash(password: &str, salt: &[u8; 16]) -> String {
    let hash: PasswordHash = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), salt)
        .expect("a salt of 16 bytes and the default parameters are within the bounds");
    hash.to_string()
}

/// Whether a password belongs to a hash.
pub(super) fn verify(password: &str, hash: &str) -> bool {
    if password.len() > LENGTH_MAX {
        return false;
    }
    PasswordVerifier::<str>::verify_password(&Argon2::default(), password.as_bytes(), hash).is_ok()
}

/// Writes 24 unpredictable bytes as a password of 24 letters and digits in groups; letters that look alike are out.
///
/// 31 signs do not divide 256; the first eight come a little more often, which costs less than 0.1 bits of 118.
pub(super) fn generate(bytes: &[u8; 24]) -> String {
    const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let letters: Vec<char> = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 31)])).collect();
    letters.chunks(6).map(String::from_iter).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_verifies_against_its_own_hash_only() {
        let hash = hash("correct horse battery", &[7; 16]);
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse battery", &hash));
        assert!(!verify("correct horse batterz", &hash));
        assert!(!verify("correct horse battery", DUMMY));
    }

    #[test]
    fn the_rules_say_what_is_wrong() {
        assert!(check("long enough ok", "ada").is_ok());
        for (password, user) in [("short", "ada"), ("aaaaaaaaaaaaaaaa", "bob"), ("my name is ADA!", "ada")] {
            assert!(matches!(check(password, user), Err(IdentityError::Password(_))), "{password}");
        }
        assert!(check(&"ä".repeat(129), "ada").is_err(), "the cap counts bytes");
    }

    #[test]
    fn generated_passwords_meet_the_rules_and_differ() {
        let password = generate(&[0; 24].map(|_: u8| 1));
        assert_eq!(password.len(), 27);
        let bytes: [u8; 24] = std::array::from_fn(|index| u8::try_from(index).expect("small"));
        assert!(check(&generate(&bytes), "admin").is_ok());
        assert_ne!(generate(&bytes), password);
    }
}
