//! Lines of the kernel's measurement list (Linux, Documentation/ABI/testing/ima_policy and security/IMA-templates).
//!
//! `10 <template hash> ima-ng sha256:<digest> /path`, `ima-sig` with a signature behind it, and the old `ima` with a
//! digest without name.

/// One measured file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Register that was extended.
    pub register: u32,
    /// Digest in hexadecimal, without the name of its algorithm.
    pub digest: String,
    /// Path of the file.
    pub path: String,
    /// The file changed while it was measured: the template hash is all zeros.
    pub is_violation: bool,
}

/// Parses a line; `None` for anything that is none.
#[must_use]
pub fn parse(line: &str) -> Option<Measured> {
    let mut words = line.splitn(5, ' ').filter(|word| !word.is_empty());
    let register = words.next()?.parse().ok().filter(|register| *register < 24)?;
    let template = words.next()?;
    let kind = words.next()?;
    let digest = words.next()?;
    let rest = words.next()?;
    let digest = match kind {
        "ima" => digest,
        "ima-ng" | "ima-sig" => digest.split_once(':')?.1,
        _ => return None,
    };
    let is_hex =
        |text: &str| !text.is_empty() && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hex(template) || !is_hex(digest) {
        return None;
    }
    // A signature is the last word and hexadecimal; a path may have spaces.
    let path = match rest.rsplit_once(' ') {
        Some((path, signature)) if kind == "ima-sig" && (signature.is_empty() || is_hex_long(signature)) => {
            path
        }
        _ => rest,
    };
    let is_violation = template.bytes().all(|byte| byte == b'0');
    Some(Measured { register, digest: digest.to_owned(), path: path.to_owned(), is_violation })
}

fn is_hex_long(text: &str) -> bool {
    text.len() > 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_three_templates_are_read() {
        let ng = parse("10 0adefe762c149c7cec19da62f0da1297fcfbffff ima-ng sha256:00ff /usr/bin/my program");
        let ng = ng.expect("it is a measurement");
        assert_eq!(
            (ng.register, &*ng.digest, &*ng.path, ng.is_violation),
            (10, "00ff", "/usr/bin/my program", false)
        );
        let sig = parse("10 0ade ima-sig sha1:ab12 /bin/sh 030204f3452d2301009dd340c852f37e").expect("it is");
        assert_eq!(sig.path, "/bin/sh");
        let old = parse("10 0000000000 ima 00ff /bin/sh").expect("it is");
        assert!(old.is_violation && old.path == "/bin/sh");
        for bad in [
            "",
            "10",
            "99 00 ima 00 /x",
            "10 00 ima-buf sha256:00 x y",
            "10 zz ima-ng sha256:00 /x",
            "10 00 ima-ng 00 /x",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_line_ends(line in "\\PC{0,200}") {
            let _ = parse(&line);
        }
    }
}
