//! Which roots a vehicle trusts next: those that an old root has signed for (RFC 7030, 4.1.3; RFC 4210, 4.4).

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Why roots are not taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// None of the offered roots is trusted, directly or by a link.
    #[error("no root of the answer is trusted")]
    Foreign,
}

/// Whether a certificate is signed by one of some roots' keys; false for what is none.
#[must_use]
pub fn signed_by(certificate: &[u8], roots: &[Vec<u8>]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    roots.iter().any(|root| {
        let Ok((_, root)) = X509Certificate::from_der(root) else { return false };
        parsed.issuer() == root.subject() && parsed.verify_signature(Some(root.public_key())).is_ok()
    })
}

/// Whether a certificate is of a CA and signed by itself.
fn is_root(parsed: &X509Certificate<'_>) -> bool {
    let is_ca = parsed.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca);
    is_ca && parsed.issuer() == parsed.subject() && parsed.verify_signature(None).is_ok()
}

/// Returns the roots to trust after an answer of `cacerts`: each self-signed one in it that is trusted already, or whose
/// key a trusted root has signed in another certificate of the answer. Roots that the answer leaves out are dropped.
///
/// # Errors
/// [`TrustError::Foreign`] if nothing would be left; what is trusted stays.
pub fn renewed_roots(trusted: &[Vec<u8>], answer: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, TrustError> {
    let parsed: Vec<(&Vec<u8>, X509Certificate<'_>)> =
        answer.iter().filter_map(|der| Some((der, X509Certificate::from_der(der).ok()?.1))).collect();
    let roots: Vec<_> = parsed.iter().filter(|(_, one)| is_root(one)).collect();
    let mut known: Vec<Vec<u8>> = trusted.to_vec();
    // Each turn takes at least one root over or is the last.
    for _ in 0..roots.len() {
        let next = roots.iter().find(|(der, root)| {
            !known.contains(der)
                && parsed.iter().any(|(link, one)| {
                    let is_link =
                        one.public_key().raw == root.public_key().raw && one.subject() == root.subject();
                    is_link && link != der && signed_by(link, &known)
                })
        });
        let Some((der, _)) = next else { break };
        known.push((*der).clone());
    }
    let left: Vec<Vec<u8>> =
        roots.iter().map(|(der, _)| (*der).clone()).filter(|der| known.contains(der)).collect();
    if left.is_empty() { Err(TrustError::Foreign) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    struct Ca {
        name: String,
        key: KeyPair,
    }

    fn parameters(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        parameters
    }

    impl Ca {
        fn new(name: &str) -> Self {
            Self { name: name.to_owned(), key: KeyPair::generate().expect("a key") }
        }

        fn root(&self) -> Vec<u8> {
            parameters(&self.name).self_signed(&self.key).expect("it signs").der().to_vec()
        }

        fn link(&self, by: &Self) -> Vec<u8> {
            let issuer = Issuer::new(parameters(&by.name), &by.key);
            parameters(&self.name).signed_by(&self.key, &issuer).expect("it signs").der().to_vec()
        }
    }

    #[test]
    fn a_root_is_taken_over_only_if_a_trusted_one_has_signed_its_key_over_any_number_of_links() {
        let [one, two, three, evil] = ["ca", "ca 2", "ca 3", "ca 2"].map(Ca::new);
        let (first, second, third) = (one.root(), two.root(), three.root());
        let trusted = [first.clone()];
        let honest =
            [third.clone(), two.link(&one), second.clone(), first.clone(), three.link(&two), one.link(&two)];
        let roots = renewed_roots(&trusted, &honest).expect("they are linked");
        assert_eq!(roots, [third.clone(), second.clone(), first.clone()]);
        // Later the first is gone.
        assert_eq!(renewed_roots(&roots, std::slice::from_ref(&third)), Ok(vec![third.clone()]));
        let unlinked = [second.clone(), first.clone()];
        assert_eq!(renewed_roots(&trusted, &unlinked), Ok(vec![first.clone()]), "no link, no trust");
        let forged = [evil.root(), first.clone(), evil.link(&three), one.link(&evil), two.link(&one)];
        assert_eq!(
            renewed_roots(&trusted, &forged),
            Ok(vec![first.clone()]),
            "linked by nobody who is trusted"
        );
        assert_eq!(renewed_roots(&trusted, &[evil.root(), vec![1, 2, 3]]), Err(TrustError::Foreign));
        assert_eq!(renewed_roots(&trusted, &[]), Err(TrustError::Foreign));
    }
}
