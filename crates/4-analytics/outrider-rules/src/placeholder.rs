//! Placeholders: `user|expand: '%workshop_users%'`.

/// One part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'a> {
    Text(String),
    Name(&'a str),
}

/// Why a value cannot be written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ExpandError {
    /// No pipeline has values for the placeholder.
    Unknown(String),
    /// There would be more than the bound.
    TooMany,
}

/// Writes a value out, once for each combination of the values of its placeholders.
///
/// A percent sign behind a backslash is itself, and so is one that begins no name.
pub(crate) fn expand(
    text: &str,
    values_max: usize,
    find: &dyn Fn(&str) -> Option<Vec<String>>,
) -> Result<Vec<String>, ExpandError> {
    let mut made = vec![String::new()];
    for part in parts(text) {
        match part {
            Part::Text(text) => made.iter_mut().for_each(|made| made.push_str(&text)),
            Part::Name(name) => {
                let values = find(name).ok_or_else(|| ExpandError::Unknown(name.to_owned()))?;
                if made.len().saturating_mul(values.len()) > values_max {
                    return Err(ExpandError::TooMany);
                }
                let each =
                    |made: &String| values.iter().map(|value| format!("{made}{value}")).collect::<Vec<_>>();
                made = made.iter().flat_map(each).collect();
            }
        }
    }
    Ok(made)
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        if let Some(after) = rest.strip_prefix("\\%") {
            literal.push('%');
            rest = after;
        } else if let (Some(pair), true) = (rest.get(..2), rest.starts_with('\\')) {
            // Another escape stays as it is, so that a backslash before it takes nothing from a percent sign.
            let length = if pair == "\\\\" { 2 } else { 1 };
            literal.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if let Some(name) = (character == '%').then(|| name_of(after)).flatten() {
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Name(name));
            rest = &after[name.len() + 1..];
        } else {
            literal.push(character);
            rest = after;
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    parts
}

/// Returns the name up to the closing percent sign.
fn name_of(text: &str) -> Option<&str> {
    let (name, _) = text.split_once('%')?;
    let is_name = |character: char| character.is_alphanumeric() || "_-.".contains(character);
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Vec<String>, ExpandError> {
        expand(text, 6, &|name| match name {
            "one" => Some(vec!["1".to_owned()]),
            "two" => Some(vec!["a".to_owned(), "b*".to_owned()]),
            _ => None,
        })
    }

    #[test]
    fn every_combination_is_written_out() {
        assert_eq!(written("x%one%y").expect("known"), ["x1y"]);
        assert_eq!(written("%two%%two%").expect("known"), ["aa", "ab*", "b*a", "b*b*"]);
        assert_eq!(written("none").expect("nothing to do"), ["none"]);
        assert_eq!(written("%two%%two%%two%"), Err(ExpandError::TooMany));
        assert_eq!(written("%three%"), Err(ExpandError::Unknown("three".to_owned())));
    }

    #[test]
    fn a_percent_sign_may_be_meant() {
        assert_eq!(written(r"\%plain%one%").expect("as in the specification"), ["%plain1"]);
        assert_eq!(written("100% of %one%").expect("no name"), ["100% of 1"]);
        assert_eq!(written("%%").expect("no name"), ["%%"]);
        assert_eq!(written(r"C:\\%one%\x").expect("the backslash escapes itself"), [r"C:\\1\x"]);
        assert_eq!(written("é%").expect("no name"), ["é%"]);
        assert_eq!(written("\\é").expect("no name"), ["\\é"]);
    }
}
