//! Values as people write them in configuration files and in JSON, where several spellings mean the same.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// One text, or a list of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Texts(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// The value of a controller's parameter, as a text that [`quicast::Algorithm::with`] reads: `2.77`, `"200ms"`, `true`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ParameterText(pub(crate) String);

impl<'de> Deserialize<'de> for ParameterText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
            type Value = ParameterText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a string, or true or false")
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<ParameterText, E> {
                Ok(ParameterText(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<ParameterText, E> {
                Ok(ParameterText(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<ParameterText, E> {
                Ok(ParameterText(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<ParameterText, E> {
                Ok(ParameterText(value.to_string()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ParameterText, E> {
                Ok(ParameterText(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_is_a_list_of_one() {
        let read = |text| serde_json::from_str::<Texts>(text);
        assert_eq!(read("\"h3\"").unwrap(), Texts(vec!["h3".to_owned()]));
        assert_eq!(read("[\"h3\",\"echo\"]").unwrap().0, ["h3", "echo"]);
        assert!(read("7").unwrap_err().to_string().contains("a string or a list of strings"));
        assert!(read("[7]").is_err());
    }

    #[test]
    fn a_parameter_is_any_scalar() {
        let read = |text| serde_json::from_str::<ParameterText>(text).map(|value| value.0);
        for (text, value) in [("2.77", "2.77"), ("7", "7"), ("-1", "-1"), ("true", "true"), ("\"5s\"", "5s")] {
            assert_eq!(read(text).unwrap(), value);
        }
        assert!(read("[1]").unwrap_err().to_string().contains("a number, a string, or true or false"));
    }
}
