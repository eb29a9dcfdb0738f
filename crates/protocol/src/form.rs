//! Strict parsing of `application/x-www-form-urlencoded` (RFC 6749 §3.2 and appendix B).

use zeroize::Zeroizing;

use crate::refusal::Refusal;

/// The maximum number of parameters in a form. The largest grant has eight.
pub const MAX_PARAMETERS: usize = 64;

/// The parameters that may be repeated: `resource` (RFC 8707 §2).
const REPEATABLE: &str = "resource";

/// A parsed form. Its values are wiped on drop, because some are secrets.
pub struct Form {
    parameters: Vec<(String, Zeroizing<String>)>,
}

impl Form {
    /// Parses a body. Refuses duplicate parameters, broken escapes, NUL and invalid UTF-8.
    pub fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let mut parameters: Vec<(String, Zeroizing<String>)> = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == MAX_PARAMETERS {
                return Err(Refusal::TooManyParameters);
            }
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let name = decode(&pair[..at])?.to_string();
            let value = decode(pair.get(at + 1..).unwrap_or_default())?;
            if name != REPEATABLE && parameters.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::RepeatedParameter(name));
            }
            parameters.push((name, value));
        }
        Ok(Self { parameters })
    }

    /// Returns a parameter's value. A parameter without a value counts as omitted (RFC 6749 §3.2).
    pub fn find(&self, name: &str) -> Option<&str> {
        let given = |(known, value): &&(String, Zeroizing<String>)| known == name && !value.is_empty();
        self.parameters.iter().find(given).map(|(_, value)| value.as_str())
    }

    /// Returns the names of all parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|(name, _)| name.as_str())
    }

    /// Returns all values of a repeatable parameter, without empty ones.
    pub fn find_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let given = move |(known, value): &&(String, Zeroizing<String>)| known == name && !value.is_empty();
        self.parameters.iter().filter(given).map(|(_, value)| value.as_str())
    }
}

/// Decodes a name or value: `+` is a space, `%XX` a byte.
pub fn decode(text: &[u8]) -> Result<Zeroizing<String>, Refusal> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                bytes.push(tail.get(..2).and_then(decode_hex).ok_or(Refusal::BrokenEscape)?);
                rest = &tail[2..];
            }
            other => bytes.push(*other),
        }
    }
    if bytes.contains(&0) {
        return Err(Refusal::Nul);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::InvalidUtf8)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn decode_hex(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(pair[0])? << 4 | digit(pair[1])?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(body: &[u8]) -> Option<Refusal> {
        Form::parse(body).err()
    }

    #[test]
    fn a_form_is_decoded_and_an_empty_value_counts_as_missing() {
        let form = Form::parse(b"a=1&b=x+y%2Bz&&c&d=&%65=%C3%A9&resource=1&resource=2").expect("parses");
        assert_eq!(form.find("a"), Some("1"));
        assert_eq!(form.find("b"), Some("x y+z"));
        assert_eq!((form.find("c"), form.find("d"), form.find("missing")), (None, None, None));
        assert_eq!(form.find("e"), Some("é"));
        assert_eq!(form.find_all("resource").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn duplicates_invalid_escapes_and_non_text_are_refused() {
        assert_eq!(refusal(b"a=1&a=1"), Some(Refusal::RepeatedParameter("a".to_owned())));
        assert_eq!(refusal(b"a=&%61="), Some(Refusal::RepeatedParameter("a".to_owned())));
        for broken in ["a=%", "a=%2", "a=%zz", "%=1", "a=%+1"] {
            assert_eq!(refusal(broken.as_bytes()), Some(Refusal::BrokenEscape), "{broken}");
        }
        assert_eq!(refusal(b"a=\0"), Some(Refusal::Nul));
        assert_eq!(refusal(b"a=%00"), Some(Refusal::Nul));
        assert_eq!(refusal(b"a=\xFF"), Some(Refusal::InvalidUtf8));
        assert_eq!(refusal(b"a=%C3%28"), Some(Refusal::InvalidUtf8));
        let many: Vec<String> = (0..=MAX_PARAMETERS).map(|index| format!("p{index}=1")).collect();
        assert_eq!(refusal(many.join("&").as_bytes()), Some(Refusal::TooManyParameters));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Form::parse(&body);
        }

        #[test]
        fn the_output_of_another_encoder_is_parsed(value in "[^\0]{1,40}") {
            let body: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("v", &value).finish();
            let form = Form::parse(body.as_bytes()).expect("parses");
            prop_assert_eq!(form.find("v"), Some(value.as_str()));
        }
    }
}
